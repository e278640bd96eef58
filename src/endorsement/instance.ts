import { MalformedError } from '../bytes/malformed-error.js';
import type { Certificate } from '../crypto/x509.js';
import { gceInstance } from './gce-instance.js';

/** What a certificate of a cloud says of its machine; empty where it says nothing that is known here. */
export function instanceOf(leaf: Certificate): Readonly<Record<string, string>> {
  try {
    const { production, ...instance } = gceInstance(leaf) ?? {};
    return production === undefined ? {} : { ...instance, production: String(production) };
  } catch (error) {
    if (error instanceof MalformedError) return {};
    throw error;
  }
}
