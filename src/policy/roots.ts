import { X509Certificate } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[A-Za-z0-9+/=\s]{1,65536}?-----END \1-----/g;

/**
 * The certificates of a PEM text, each as its own PEM text; text around the blocks is skipped, as RFC 7468 section 2
 * allows. Parsed only: neither dates nor signatures are looked at. Throws MalformedError where there is none, where a
 * block is anything but a certificate, and where one does not parse, or there are more than `maxCount`; the message quotes nothing.
 */
export function parseCertificates(pem: string, field: string, maxCount: number): readonly string[] {
  const blocks = [...pem.matchAll(BLOCK)];
  if (blocks.length > maxCount) throw new MalformedError(`${field}: holds too many certificates`);
  const begins = pem.split('-----BEGIN ').length - 1;
  if (blocks.length === 0 || blocks.length !== begins)
    throw new MalformedError(`${field}: must hold PEM certificates, whole ones`);
  return blocks.map(([block, label]) => {
    if (label !== 'CERTIFICATE')
      throw new MalformedError(`${field}: holds a PEM block that is no certificate; a root is a certificate alone`);
    try {
      return new X509Certificate(block).toString();
    } catch {
      throw new MalformedError(`${field}: a certificate in it does not parse`);
    }
  });
}
