import { InvalidArgumentError } from 'commander';

/** Which TPM attests. */
export type TpmChoice = { readonly kind: 'simulator' } | { readonly kind: 'tcti'; readonly tcti: string };

const MAX_PORT = 65_535;

/** `simulator`, `swtpm:host=H,port=P` or `device:PATH`. */
export function tpmChoice(text: string): TpmChoice {
  if (text === 'simulator') return { kind: 'simulator' };
  const swtpm = /^swtpm:host=[0-9A-Za-z.:[\]-]{1,253},port=([1-9]\d{0,4})$/.exec(text);
  // tpm2-tools take the next port for control.
  const isSwtpm = swtpm !== null && Number(swtpm[1]) < MAX_PORT;
  if (isSwtpm || /^device:\/[0-9A-Za-z._/-]{1,255}$/.test(text)) return { kind: 'tcti', tcti: text };
  throw new InvalidArgumentError('It must be simulator, swtpm:host=H,port=P or device:/dev/tpmrm0.');
}

/** A persistent handle, such as 0x81010002. */
export function persistentHandle(text: string): number {
  const handle = /^0x81[0-9a-f]{6}$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isNaN(handle)) return handle;
  throw new InvalidArgumentError('It must be a persistent handle, 0x81000000 to 0x81ffffff.');
}
