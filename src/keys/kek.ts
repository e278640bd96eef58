/**
 * Where key-encryption keys live. A provider wraps and unwraps data keys and never hands a KEK out.
 *
 * Contract: `unwrap(wrap(x, aad), aad)` is x; any change of the wrapped bytes, of `associatedData` or of the KEK makes
 * unwrap throw KekError, without saying which. The caller owns what unwrap returns and zeroises it.
 */
export interface KekProvider {
  /** The id of the KEK that `wrap` uses now. */
  readonly activeId: () => string;
  /** Wraps up to 1 KiB under the active KEK. */
  wrap(plaintext: Uint8Array, associatedData: Uint8Array): Promise<{ readonly kek: string; readonly wrapped: Buffer }>;
  /** Unwraps under the named KEK. Throws KekError. */
  unwrap(kek: string, wrapped: Uint8Array, associatedData: Uint8Array): Promise<Buffer>;
  /** Whether the KEK exists now, whatever this process remembers: asked before what it wraps is stored for good. */
  holds(kek: string): Promise<boolean>;
  /** Makes a new KEK and makes it the active one; the former ones keep unwrapping. Returns both ids, as no other process can have changed them meanwhile. */
  rotate(): Promise<{ readonly kek: string; readonly replaced: string }>;
  /** Destroys every KEK but the active one and those named. */
  retire(keep: readonly string[]): Promise<void>;
}

/** A KEK operation failed: the KEK is unknown or unreachable, or the wrapped bytes or their associated data were changed. */
export class KekError extends Error {
  override readonly name = 'KekError';
}
