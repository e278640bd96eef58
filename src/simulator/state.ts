import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { DIGEST_BYTES } from '../crypto/digest.js';
import { PCR_COUNT } from '../evidence/tpm/constants.js';
import { AK_SCHEMES } from './ak.js';
import { PCR_BANKS } from './pcr-banks.js';
import { SimulatedTpm } from './vtpm.js';

const FORMAT = 'portcullis-simulated-tpm/1';
const MAX_AKS = 64;
const U32_MAX = 0xffff_ffff;

/**
 * The whole state of a simulated TPM as JSON text: PCRs, clock, and the AKs' private keys in the clear. Reading and
 * writing files is the caller's part; the file wants mode 0600.
 */
export function saveTpm(tpm: SimulatedTpm): string {
  const { clock, resetCount, restartCount, safe } = tpm.clockInfo;
  const values = (bank: (typeof PCR_BANKS)[number]) =>
    Array.from({ length: PCR_COUNT }, (_, index) => tpm.pcr(bank, index).toString('hex'));
  return JSON.stringify({
    format: FORMAT,
    clock: { clock: String(clock), resetCount, restartCount, safe },
    pcrs: Object.fromEntries(PCR_BANKS.map((bank) => [bank, values(bank)])),
    aks: tpm.aks.map((ak) => ({ scheme: ak.scheme, pkcs8: ak.exportPkcs8().toString('base64url') })),
  });
}

/** The TPM that `saveTpm` wrote. Throws MalformedError for anything else. */
export async function loadTpm(text: string): Promise<SimulatedTpm> {
  const state = membersOf(parseJson(Buffer.from(text, 'utf8')), 'the state');
  if (state['format'] !== FORMAT) throw new MalformedError(`the state is not of the format ${FORMAT}`);
  const tpm = new SimulatedTpm();
  loadPcrs(tpm, membersOf(state['pcrs'], 'pcrs'));
  loadClock(tpm, membersOf(state['clock'], 'clock'));
  for (const saved of arrayOf(state['aks'], MAX_AKS, 'aks')) await loadAk(tpm, membersOf(saved, 'aks'));
  return tpm;
}

function loadPcrs(tpm: SimulatedTpm, banks: Members): void {
  for (const bank of PCR_BANKS) {
    const values = arrayOf(banks[bank], PCR_COUNT, `pcrs.${bank}`);
    const hex = new RegExp(`^[0-9a-f]{${String(2 * DIGEST_BYTES[bank])}}$`);
    if (values.length !== PCR_COUNT) throw new MalformedError(`pcrs.${bank}: not one value for each PCR`);
    const checked = values.map((value) => textOf(value, hex, `pcrs.${bank}`));
    tpm.setBootValues({ [bank]: Object.fromEntries(checked.map((value, index) => [String(index), value])) });
  }
}

function loadClock(tpm: SimulatedTpm, saved: Members): void {
  const { clock, resetCount, restartCount, safe } = saved;
  if (!isU32(resetCount) || !isU32(restartCount) || typeof safe !== 'boolean') {
    throw new MalformedError('clock: counts or safe are missing');
  }
  tpm.setClockInfo({ clock: BigInt(textOf(clock, /^\d{1,19}$/, 'clock.clock')), resetCount, restartCount, safe });
}

async function loadAk(tpm: SimulatedTpm, saved: Members): Promise<void> {
  const scheme = AK_SCHEMES.find((known) => known === saved['scheme']);
  if (scheme === undefined) throw new MalformedError('aks: unknown scheme');
  const pkcs8 = Buffer.from(textOf(saved['pkcs8'], /^[A-Za-z0-9_-]{1,4096}$/, 'aks.pkcs8'), 'base64url');
  try {
    await tpm.createAk({ scheme, pkcs8 });
  } catch {
    throw new MalformedError('aks.pkcs8: not a private key of its scheme');
  }
}

type Members = Readonly<Record<string, unknown>>;

function membersOf(value: unknown, field: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedError(`${field}: not an object`);
  }
  return value as Members;
}

function arrayOf(value: unknown, maxLength: number, field: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxLength) {
    throw new MalformedError(`${field}: not an array of at most ${String(maxLength)}`);
  }
  return value;
}

function textOf(value: unknown, form: RegExp, field: string): string {
  if (typeof value !== 'string' || !form.test(value)) throw new MalformedError(`${field}: not text of the right form`);
  return value;
}

function isU32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= U32_MAX;
}
