import { InvalidArgumentError } from 'commander';

/** Which TPM attests. `file` keeps the keys of a simulated one; without, it is made anew each time. */
export type TpmChoice =
  { readonly kind: 'simulator'; readonly file?: string } | { readonly kind: 'tcti'; readonly tcti: string };

export const TPM_TEXT = 'simulator, simulator:FILE (keeps its keys), swtpm:host=H,port=P or device:PATH';

const MAX_PORT = 65_535;

/** `simulator`, `simulator:FILE`, `swtpm:host=H,port=P` or `device:PATH`. */
export function tpmChoice(text: string): TpmChoice {
  if (text === 'simulator') return { kind: 'simulator' };
  if (/^simulator:[^\0]{1,4096}$/.test(text)) return { kind: 'simulator', file: text.slice('simulator:'.length) };
  const swtpm = /^swtpm:host=[0-9A-Za-z.:[\]-]{1,253},port=([1-9]\d{0,4})$/.exec(text);
  // tpm2-tools take the next port for control.
  const isSwtpm = swtpm !== null && Number(swtpm[1]) < MAX_PORT;
  if (isSwtpm || /^device:\/[0-9A-Za-z._/-]{1,255}$/.test(text)) return { kind: 'tcti', tcti: text };
  throw new InvalidArgumentError('It must be simulator, simulator:FILE, swtpm:host=H,port=P or device:/dev/tpmrm0.');
}

/** A persistent handle, such as 0x81010002. */
export function persistentHandle(text: string): number {
  const handle = /^0x81[0-9a-f]{6}$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isNaN(handle)) return handle;
  throw new InvalidArgumentError('It must be a persistent handle, 0x81000000 to 0x81ffffff.');
}
