/** A source of cryptographically secure random bytes, handed to the core by the roots. */
export type Random = (bytes: number) => Buffer;
