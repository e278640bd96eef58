import type { Certificate } from '../crypto/x509.js';
import { onlyAttribute } from '../crypto/x509-name.js';

/** tcg-kp-EKCertificate and tcg-kp-AIKCertificate, the purposes of EK and AK certificates. */
export const EK_CERTIFICATE_PURPOSE = '2.23.133.8.1';
export const AK_CERTIFICATE_PURPOSE = '2.23.133.8.3';

const TPM_MANUFACTURER = '2.23.133.2.1';
const TPM_MODEL = '2.23.133.2.2';
const TPM_VERSION = '2.23.133.2.3';
const PRINTABLE = /^[\x20-\x7e]{1,64}$/;

/** Which TPM an EK certificate says it is for, as its maker writes it: `id:474F4F47`, `vTPM`, `id:20160511`. */
export interface TpmIdentity {
  /** `id:` and the four bytes of the TCG vendor ID in hex. */
  readonly manufacturer: string;
  readonly model: string;
  readonly version: string;
}

/**
 * Maker, model and firmware version from the directoryNames of the subjectAltName (TCG EK Credential Profile). undefined
 * where one of the three is missing, stands there twice, or is not 1 to 64 characters of printable ASCII. The certificate
 * is not verified here.
 */
export function tpmIdentity({ directoryNames }: Certificate): TpmIdentity | undefined {
  const attributes = directoryNames?.flatMap((name) => name.attributes) ?? [];
  const manufacturer = printable(onlyAttribute(attributes, TPM_MANUFACTURER));
  const model = printable(onlyAttribute(attributes, TPM_MODEL));
  const version = printable(onlyAttribute(attributes, TPM_VERSION));
  if (manufacturer === undefined || model === undefined || version === undefined) return undefined;
  return { manufacturer, model, version };
}

function printable(text: string | undefined): string | undefined {
  return text !== undefined && PRINTABLE.test(text) ? text : undefined;
}
