/**
 * Fuzz targets for everything that reads TPM bytes. `run` throws only on a finding: an exception that is no refusal, a
 * structure that does not encode to the bytes it was parsed from, or evidence accepted that should not be. Seeds are made
 * with a fixed key, so that an input that was recorded means the same in the next run.
 */
import { createHash } from 'node:crypto';
import { parseJson } from '../../../src/bytes/json.js';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { Reader } from '../../../src/bytes/reader.js';
import { Writer } from '../../../src/bytes/writer.js';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import { parseAttest } from '../../../src/evidence/tpm/attest.js';
import type { PcrValues } from '../../../src/evidence/tpm/evidence.js';
import { checkSelection, parsePcrSelections } from '../../../src/evidence/tpm/pcr-selection.js';
import { parsePublicArea, tpmtPublic } from '../../../src/evidence/tpm/public-area.js';
import { verifyQuote, type QuoteExpectations } from '../../../src/evidence/tpm/quote.js';
import { parseSignature } from '../../../src/evidence/tpm/signature.js';
import { parseToolsPcrs } from '../../../src/evidence/tpm/tools-pcrs.js';
import { accept } from '../../../src/reason/reason.js';
import {
  encodeAttest,
  encodePublicArea,
  encodeSelections,
  encodeSignature,
  encodeStructs,
  sizedPublic,
} from '../../evidence/tpm/encode.js';
import {
  BINDING,
  attestBytes,
  eccAk,
  pcrValue,
  selection,
  signBytes,
  softwareQuote,
  valuesFor,
  type WithPublicArea,
} from '../../evidence/tpm/software-quote.js';

export interface FuzzTarget {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  readonly run: (input: Buffer) => void;
}

const AK = eccAk('P-256', 'sha256', 'fuzz');
const SELECT = [selection('sha256', 0, 4, 8), selection('sha1', 23)];
const GOOD = softwareQuote(AK, { pcrSelect: SELECT });
const EXPECTED: QuoteExpectations = {
  extraData: BINDING,
  neededPcrs: { sha256: [0, 4, 8] },
  trust: () => accept({ kind: 'pinned' as const }),
};
const RSA_AREA = {
  ...AK.area,
  scheme: { scheme: 0x14, hash: 0x0b },
  key: { kind: 'rsa', keyBits: 2048, exponent: 0, n: Buffer.alloc(256, 0xab) },
} as const;

function finding(what: string): never {
  throw new Error(`finding: ${what}`);
}

/** What a parser made of the input; undefined when it is malformed. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function sameBytes(encoded: Buffer, input: Buffer): void {
  if (!encoded.equals(input)) finding('what was parsed encodes to other bytes');
}

/** quoted, signature and AK behind their sizes, then the PCR values as JSON: one input for a whole evidence. */
function pack(evidence: WithPublicArea): Buffer {
  const { quoted, signature, ak, pcrs } = evidence;
  return new Writer()
    .sized16(quoted)
    .sized16(signature)
    .sized16(ak)
    .bytes(Buffer.from(JSON.stringify(pcrs)))
    .finish();
}

function unpack(input: Buffer): WithPublicArea | undefined {
  return parsed(() => {
    const r = new Reader(input);
    const part = (name: string) => Buffer.from(r.sized16(0xffff, name));
    const [quoted, signature, ak] = [part('quoted'), part('signature'), part('ak')];
    return { quoted, signature, ak, pcrs: readPcrs(r.take(r.remaining, 'pcrs')), akCertificates: [] };
  });
}

/** JSON as it comes over HTTP, so of any shape below the banks that its schema lets through: objects of strings. */
function readPcrs(json: Buffer): PcrValues {
  const value = parseJson(json);
  const isObject = (member: unknown): member is object => typeof member === 'object' && member !== null;
  if (!isObject(value) || !Object.values(value).every(isObject)) throw new MalformedError('not the shape of pcrs');
  const values = Object.values(value).flatMap((bank) => Object.values(bank as object) as unknown[]);
  if (!values.every((hex) => typeof hex === 'string')) throw new MalformedError('not the shape of pcrs');
  return value;
}

/** Whatever was changed, an accepted quote is the signed one, by the same key, with the same values. */
function runVerify(input: Buffer): void {
  const evidence = unpack(input);
  if (evidence === undefined) return;
  const result = verifyQuote(evidence, EXPECTED);
  if (!result.ok) return;
  if (!evidence.quoted.equals(GOOD.quoted)) finding('a quote was accepted that the AK never signed');
  if (result.value.ak.spkiSha256 !== GOOD_SPKI) finding('another key was accepted as the AK');
  for (const pcr of ['0', '4', '8']) {
    if (result.value.pcrs.sha256?.[pcr] !== pcrValue('sha256', Number(pcr))) finding('another PCR value was believed');
  }
  if (result.value.pcrs.sha1 !== undefined) finding('a SHA-1 value was believed');
}

const GOOD_SPKI = spkiOf(GOOD.ak);

function spkiOf(ak: Buffer): string {
  const result = parseAk(ak);
  return result.ok ? result.value.spkiSha256 : finding('the seed is no AK');
}

/** The AK signs whatever the input says, as a broken TPM would: what lies behind the signature check must hold by itself. */
function runSigned(input: Buffer): void {
  const evidence = unpack(input);
  if (evidence === undefined) return;
  const { quoted, pcrs } = evidence;
  const signature = encodeSignature(signBytes(AK, quoted));
  const result = verifyQuote({ ...GOOD, quoted, signature, pcrs }, EXPECTED);
  if (!result.ok) return;
  const { quote, pcrs: believed } = result.value;
  sameBytes(encodeAttest(quote), quoted);
  if (!quote.extraData.equals(BINDING)) finding('another binding was accepted');
  const state = createHash('sha256');
  const seen = new Set<number>();
  for (const { hashAlg, pcrs: selected } of quote.pcrSelect) {
    if (seen.has(hashAlg) || selected.length === 0) finding('a duplicate or empty selection was accepted');
    seen.add(hashAlg);
    const bank = ({ 4: 'sha1', 11: 'sha256', 12: 'sha384', 13: 'sha512' } as const)[hashAlg as 4 | 11 | 12 | 13];
    for (const pcr of selected) state.update(Buffer.from(pcrs[bank]?.[String(pcr)] ?? '', 'hex'));
  }
  if (!state.digest().equals(quote.pcrDigest)) finding('values were accepted that do not hash to pcrDigest');
  if (believed.sha1 !== undefined) finding('a SHA-1 value was believed');
  for (const pcr of ['0', '4', '8']) if (believed.sha256?.[pcr] === undefined) finding('a needed PCR is not there');
}

const DIGESTS = [...[0, 4, 8].map((pcr) => pcrValue('sha256', pcr)), pcrValue('sha1', 23)].map((hex) =>
  Buffer.from(hex, 'hex'),
);
const PCRREAD = `  sha256:\n    0 : 0x${pcrValue('sha256', 0).toUpperCase()}\n    8 : 0x${pcrValue('sha256', 8)}\n  sha1:\n`;

export const targets: readonly FuzzTarget[] = [
  {
    name: 'tpm.attest',
    seeds: [
      attestBytes('sha256'),
      attestBytes('sha384', { pcrSelect: SELECT }),
      attestBytes('sha256', { header: { type: 0x8017 } }),
    ],
    run: (input) => {
      const result = parseAttest(input);
      if (result.ok) sameBytes(encodeAttest(result.value), input);
    },
  },
  {
    name: 'tpm.selection',
    seeds: [encodeSelections(SELECT), encodeSelections([])],
    run: (input) => {
      const selections = parsed(() => {
        const r = new Reader(input);
        const value = parsePcrSelections(r);
        r.end('TPML_PCR_SELECTION');
        return value;
      });
      if (selections === undefined) return;
      sameBytes(encodeSelections(selections), input);
      const checked = checkSelection(selections, { sha256: [8] });
      if (checked.ok && !selections.some(({ hashAlg, pcrs }) => hashAlg === 0x0b && pcrs.includes(8))) {
        finding('a selection without the needed PCR was accepted');
      }
    },
  },
  {
    name: 'tpm.signature',
    seeds: [GOOD.signature, encodeSignature({ kind: 'rsa', sigAlg: 0x16, hash: 0x0b, sig: Buffer.alloc(256, 1) })],
    run: (input) => {
      const signature = parsed(() => parseSignature(input));
      if (signature !== undefined && signature.kind !== 'unknown') sameBytes(encodeSignature(signature), input);
    },
  },
  {
    name: 'tpm.public-area',
    seeds: [GOOD.ak, sizedPublic(GOOD.ak), encodePublicArea(RSA_AREA)],
    run: (input) => {
      const area = parsed(() => parsePublicArea(tpmtPublic(input)));
      if (area !== undefined) sameBytes(encodePublicArea(area), tpmtPublic(input));
      const ak = parseAk(input);
      if (!ak.ok) return;
      if (area === undefined) finding('an AK that does not parse was accepted');
      // restricted, sign, fixedTPM, fixedParent and sensitiveDataOrigin, not decrypt
      if ((area.objectAttributes & 0x70032) !== 0x50032) finding('an AK without the attributes of one was accepted');
      if (area.scheme === undefined) finding('an AK without scheme was accepted');
    },
  },
  {
    name: 'tpm.tools-pcrs',
    seeds: [
      encodeStructs(SELECT, DIGESTS),
      Buffer.concat(DIGESTS),
      Buffer.from(PCRREAD),
      Buffer.from(JSON.stringify(valuesFor(SELECT))),
    ],
    run: (input) => void parsed(() => parseToolsPcrs(input, SELECT)),
  },
  {
    name: 'tpm.verify-quote',
    seeds: [pack(GOOD), pack({ ...GOOD, ak: sizedPublic(GOOD.ak) })],
    run: runVerify,
  },
  {
    name: 'tpm.signed-quote',
    seeds: [pack(GOOD), pack(softwareQuote(AK)), pack(softwareQuote(AK, { pcrSelect: [...SELECT].reverse() }))],
    run: runSigned,
  },
];
