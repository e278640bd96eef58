/** Too few witnesses cosigned in time. The message says what is wrong with which of them. */
export class WitnessError extends Error {
  override readonly name = 'WitnessError';
}
