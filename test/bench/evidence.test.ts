import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { benchEvidence, verdictText } from '../../bench/evidence.js';
import { bareRun, signaturesIn } from '../../bench/evidence-bare.js';
import { floorIn as floorOfMember, type Warmth } from '../../bench/evidence-floor.js';
import { genuineMachines } from '../../bench/evidence-genuine.js';
import { baseOf, type Machine, type Piece, simulatedMachines } from '../../bench/evidence-machines.js';
import { proveChecked } from '../../bench/evidence-round.js';
import { coldVerifier, verifyPiece, withFlippedBit } from '../../bench/evidence-verify.js';
import type { Row } from '../../bench/report.js';
import { figureOf } from '../../bench/statistics.js';

/** Signatures: of certificates, CRLs, documents and manifests, and of what is fresh; cold, then warm. Keys imported likewise. */
const COUNTS: Readonly<Record<string, Readonly<Record<Warmth, { signatures: number; imports: number }>>>> = {
  // ASK, VCEK, report, quote.
  'SNP + vTPM': { cold: { signatures: 4, imports: 3 }, warm: { signatures: 2, imports: 0 } },
  'HCL-SNP + vTPM': { cold: { signatures: 4, imports: 3 }, warm: { signatures: 2, imports: 0 } },
  // CA, PCK, TCB signer, two CRLs, two documents, enclave, quote; the attestation key comes with each quote.
  TDX: { cold: { signatures: 9, imports: 4 }, warm: { signatures: 2, imports: 1 } },
  // Four certificates and the report; CA and signer of manifests, and two of those.
  'one GPU': { cold: { signatures: 9, imports: 6 }, warm: { signatures: 1, imports: 0 } },
  'HCL-SNP + vTPM + GPU': { cold: { signatures: 13, imports: 9 }, warm: { signatures: 3, imports: 0 } },
  'genuine SNP alone': { cold: { signatures: 3, imports: 2 }, warm: { signatures: 1, imports: 0 } },
  'genuine HCL-SNP + vTPM': { cold: { signatures: 4, imports: 3 }, warm: { signatures: 2, imports: 0 } },
};
const SIMULATED = Object.keys(COUNTS).filter((name) => !name.startsWith('genuine'));
const GENUINE = Object.keys(COUNTS).filter((name) => name.startsWith('genuine'));

let machines: readonly Machine[];
const genuine = genuineMachines();
beforeAll(async () => {
  machines = [...(await simulatedMachines()), ...genuine];
});

const machineOf = (name: string): Machine => machines.find((machine) => machine.name === name)!;
const floorIn = ({ member }: Piece, { trust }: Machine, warmth: Warmth) => floorOfMember(member, trust(), warmth);

describe.each([
  ['simulated', SIMULATED],
  ['recorded', GENUINE],
])('the %s evidence of the bench', (kind, names) => {
  const testEach = kind === 'recorded' && genuine.length === 0 ? test.skip : test;

  testEach.each(names)('%s is accepted cold, and again warm with a new answer', (name) => {
    const machine = machineOf(name);
    const verifier = coldVerifier(machine);
    expect(verifyPiece(machine.answer(baseOf(1)), verifier)).toMatchObject({ ok: true });
    expect(verifyPiece(machine.answer(baseOf(2)), verifier)).toMatchObject({ ok: true });
  });

  testEach.each(names)('%s: whatever bit is changed where none may be, a warm verifier refuses', (name) => {
    const machine = machineOf(name);
    const verifier = coldVerifier(machine);
    const good = machine.answer(baseOf(3));
    const place = fc.double({ min: 0, max: 1, noNaN: true });
    expect(verifyPiece(good, verifier).ok).toBe(true);
    fc.assert(
      fc.property(fc.constantFrom(...machine.guarded), place, (guarded, at) => {
        expect(verifyPiece(withFlippedBit(good, guarded, at), verifier).ok).toBe(false);
      }),
      { numRuns: 60 },
    );
    expect(proveChecked(machine, verifier, baseOf(4), 0.5)).toBeGreaterThanOrEqual(8 * machine.guarded.length);
    expect(verifyPiece(good, verifier).ok).toBe(true);
  });

  testEach.each(names)('%s: its bare checks are as many as are needed, and hold', (name) => {
    const machine = machineOf(name);
    for (const warmth of ['cold', 'warm'] as const) {
      const floor = floorIn(machine.answer(baseOf(5)), machine, warmth);
      const imports = floor.keys.filter(({ isKnown }) => !isKnown).length;
      expect({ warmth, signatures: signaturesIn(floor), imports }).toEqual({ warmth, ...COUNTS[name]![warmth] });
      expect(bareRun(floor)).not.toThrow();
    }
  });

  testEach.each(names)('%s: each of its bare checks can fail', (name) => {
    const machine = machineOf(name);
    const { keys } = floorIn(machine.answer(baseOf(6)), machine, 'cold');
    for (const { spki, isKnown, signed } of keys) {
      for (const piece of signed) {
        const data = Buffer.from(piece.data);
        data.writeUInt8(data.readUInt8(data.length >> 1) ^ 1, data.length >> 1);
        const changed = { keys: [{ spki, isKnown, signed: [{ ...piece, data }] }], digested: [] };
        expect(bareRun(changed)).toThrow('a signature is not good');
      }
    }
  });
});

test('a machine that answers is refused under another challenge, and its verifier stays as it was', () => {
  for (const machine of machines.filter(({ name }) => SIMULATED.includes(name))) {
    const verifier = coldVerifier(machine);
    const good = machine.answer(baseOf(7));
    expect(verifyPiece({ ...good, base: baseOf(8) }, verifier).ok).toBe(false);
    expect(verifyPiece(good, verifier).ok).toBe(true);
    expect(verifyPiece({ ...good, base: baseOf(8) }, verifier).ok).toBe(false);
  }
});

test('manifests are hashed where they are verified, which is cold', () => {
  const machine = machineOf('one GPU');
  expect(floorIn(machine.answer(baseOf(9)), machine, 'cold').digested).toHaveLength(2);
  expect(floorIn(machine.answer(baseOf(9)), machine, 'warm').digested).toHaveLength(0);
});

test('a verifier that takes what it must refuse fails the bench', () => {
  const machine = machineOf('SNP + vTPM');
  // It answers the very challenge that the proof holds to be another one.
  const elsewhere: Machine = { ...machine, guarded: [] };
  expect(() => proveChecked(elsewhere, coldVerifier(machine), baseOf(-1), 0)).toThrow('took what it must refuse');
});

test('every kind has its figures, in each round', async () => {
  const { rows, text } = await benchEvidence({
    rounds: 2,
    pieces: { cold: 1, warm: 1 },
    compiling: { cold: 1, warm: 1 },
    progress: () => undefined,
  });
  expect(rows.map(({ name }) => name)).toEqual(machines.map(({ name }) => name));
  for (const { figures } of rows) {
    expect(Object.keys(figures)).toEqual(['coldBareUs', 'coldUs', 'coldRatio', 'warmBareUs', 'warmUs', 'warmRatio']);
    for (const { rounds, median } of Object.values(figures)) {
      expect(rounds).toHaveLength(2);
      expect(median).toBeGreaterThan(0);
    }
  }
  expect(text).toContain('were refused');
  expect(text.includes('no genuine evidence measured')).toBe(genuine.length === 0);
});

describe('the verdict', () => {
  const row = (figures: Readonly<Record<string, number>>): Row => ({
    group: 'g',
    name: 'a kind',
    figures: Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, figureOf([value])])),
  });
  const good = { coldRatio: 3, warmRatio: 2, coldUs: 19_999, warmUs: 100 };

  test('is good up to 3 times cold, 2 times warm and 20 ms', () => {
    expect(verdictText([row(good)])).toEqual([expect.stringMatching(/^every kind is within/)]);
  });

  test.each([
    [{ coldRatio: 3.01 }, 'cold: 3.01 times'],
    [{ warmRatio: 2.01 }, 'warm: 2.01 times'],
    [{ coldUs: 20_000 }, 'cold: 20.0 ms'],
    [{ warmUs: 20_000 }, 'warm: 20.0 ms'],
    [{ coldRatio: NaN }, 'cold: NaN times'],
  ])('names what is over: %j', (over, said) => {
    expect(verdictText([row({ ...good, ...over })])).toEqual([expect.stringContaining(`a kind, ${said}`)]);
  });
});
