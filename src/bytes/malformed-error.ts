/** The only error that a parser of bytes or text throws: the input is not what its format says. The message names the field and never holds input bytes. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}
