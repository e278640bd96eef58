import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseJson } from '../../src/bytes/json.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { composeEntry } from '../../src/translog/entry.js';
import { leafHash } from '../../src/translog/merkle.js';
import { Pseudonyms } from '../../src/translog/names.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import {
  isLogOf,
  type ParsedReceipt,
  parseReceipt,
  type ReceiptDemands,
  verifyReceipt,
} from '../../src/translog/receipt.js';
import { TreeAppender } from '../../src/translog/tree-appender.js';
import { canonical, TestLog, TestNoteKey, type WireReceipt } from '../helpers/test-log.js';

const BROKER = '00112233445566778899aabbccddeeff';
const ORIGIN = `${BROKER}/0123456789abcdef`;
const NONCE = randomBytes(32);
const JWE = [
  'eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9',
  ...[40, 12, 90, 16].map((n) => randomBytes(n).toString('base64url')),
].join('.');
const ENTRY = {
  type: 'release',
  time: '2026-11-22T05:04:03.210Z',
  release_id: 'ab'.repeat(16),
  profile: 'production',
  broker: BROKER,
  deployment: 'llm-inference',
  key: 'weights',
  version: '0123456789abcdef0123456789abcdef',
  policy_sha256: '11'.repeat(32),
  recipient: randomBytes(32).toString('base64url'),
  ak_name: `000b${'22'.repeat(32)}`,
  boot: 'pinned',
  state_generation: '17',
  evidence_sha256: '33'.repeat(32),
  jwe_sha256: hex(Buffer.from(JWE)),
  nonce_sha256: hex(NONCE),
};
const EXPECTED = {
  releaseId: ENTRY.release_id,
  broker: BROKER,
  deployment: ENTRY.deployment,
  key: ENTRY.key,
  version: ENTRY.version,
  recipient: ENTRY.recipient,
  nonce: NONCE,
};
/** For tests that verify ten thousand times. */
const LONG_MS = 120_000;
const SIZE = 11;
const INDEX = 6;

let log: TestLog;
let receipt: WireReceipt;
let demands: ReceiptDemands;
beforeAll(() => {
  log = logWith(canonical(ENTRY));
  receipt = log.receipt(INDEX);
  demands = { logKey: parseVerifierKey(log.key.vkey), jwe: JWE, expected: EXPECTED };
});

/** A log of SIZE entries with this one at INDEX. */
function logWith(entry: string, origin = ORIGIN): TestLog {
  const made = new TestLog(origin);
  for (let at = 0; at < SIZE; at++) made.append(at === INDEX ? entry : canonical({ type: 'denial.summary', at }));
  return made;
}

function hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What comes of an entry in a log of its own. */
function outcomeOf(
  entry: string,
  more: Partial<ReceiptDemands> = {},
  salts?: Readonly<Record<string, string>>,
): string {
  const made = logWith(entry);
  const wire = { ...made.receipt(INDEX), ...(salts === undefined ? {} : { salts }) };
  return reasonOf(wire, { logKey: parseVerifierKey(made.key.vkey), ...more });
}

function reasonOf(received: unknown, given: ReceiptDemands = demands): string {
  const result = verifyReceipt(received, given);
  return result.ok ? 'accepted' : result.reason;
}

describe('a receipt', () => {
  test('made by an independent log verifies, and says what it proved', () => {
    const result = verifyReceipt(receipt, demands);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value).toMatchObject({ entry: ENTRY, index: INDEX, cosigned: [] });
    expect(result.value.head).toMatchObject({ origin: ORIGIN, size: SIZE });
  });

  test.each([1, 2, 3, 7, 8, 9, 64, 65])('verifies at every index of a log of %i entries', (size) => {
    const made = new TestLog(ORIGIN);
    for (let at = 0; at < size; at++) made.append(canonical({ ...ENTRY, state_generation: String(at) }));
    const logKey = parseVerifierKey(made.key.vkey);
    for (let at = 0; at < size; at++) {
      const wire = made.receipt(at);
      expect(reasonOf(wire, { logKey })).toBe('accepted');
      for (let other = 0; other < size; other++) {
        if (other !== at) expect(reasonOf({ ...wire, index: other }, { logKey })).toBe('receipt.proof');
      }
    }
  });

  test('made by the log of the broker verifies', () => {
    const signer = new CheckpointSigner(ORIGIN, randomBytes(32));
    const tree = new TreeAppender(0, []);
    for (let at = 0; at < INDEX; at++) tree.append(randomBytes(32));
    const { text } = composeEntry('release', releaseBody(), { timeMs: 1_800_000_000_000, generation: 4 });
    tree.append(leafHash(Buffer.from(text)));
    for (let at = 0; at < 5; at++) tree.append(randomBytes(32));
    const wire = {
      entry: text,
      index: INDEX,
      proof: tree.prove(INDEX).map((hash) => hash.toString('base64url')),
      checkpoint: signer.sign(tree.size, tree.root()),
    };
    expect(reasonOf(wire, { ...demands, logKey: parseVerifierKey(signer.verifierKey) })).toBe('accepted');
  });

  test('verifies without the wrapped key and without expectations, and then says less', () => {
    expect(reasonOf(receipt, { logKey: demands.logKey })).toBe('accepted');
    expect(reasonOf({ ...receipt }, { logKey: demands.logKey, expected: {} })).toBe('accepted');
  });
});

describe('one bit flipped', () => {
  test(
    'anywhere in the JSON of a receipt is refused',
    () => {
      const bytes = Buffer.from(JSON.stringify(receipt));
      const accepted: string[] = [];
      let read = 0;
      for (const flipped of eachBitFlipped(bytes)) {
        let value: unknown;
        try {
          value = parseJson(flipped);
        } catch {
          continue;
        }
        read++;
        if (reasonOf(value, { logKey: demands.logKey }) === 'accepted') accepted.push(flipped.toString());
      }
      expect(accepted).toEqual([]);
      expect(read).toBeGreaterThan(5_000);
    },
    LONG_MS,
  );

  test(
    'anywhere in a receipt with salted names is refused by whoever knows the names',
    () => {
      const { wire, logKey } = saltedReceipt();
      const expected = { deployment: ENTRY.deployment, key: ENTRY.key };
      expect(reasonOf(wire, { logKey, expected })).toBe('accepted');
      const bytes = Buffer.from(JSON.stringify({ salts: wire.salts }));
      for (const flipped of eachBitFlipped(bytes)) {
        let changed: object;
        try {
          changed = parseJson(flipped) as object;
        } catch {
          continue;
        }
        expect(
          reasonOf(
            { entry: wire.entry, index: wire.index, proof: wire.proof, checkpoint: wire.checkpoint, ...changed },
            { logKey, expected },
          ),
        ).not.toBe('accepted');
      }
    },
    LONG_MS,
  );

  test(
    'anywhere in the wrapped key is refused',
    () => {
      const reasons = new Set<string>();
      for (const flipped of eachBitFlipped(Buffer.from(JWE))) {
        for (const encoding of ['utf8', 'latin1'] as const) {
          reasons.add(reasonOf(receipt, { logKey: demands.logKey, jwe: flipped.toString(encoding) }));
        }
      }
      expect([...reasons]).toEqual(['receipt.jwe']);
    },
    LONG_MS,
  );

  test(
    'in a cosignature that is demanded is refused',
    () => {
      const witness = new TestNoteKey('witness.example/w1', 4);
      const line = witness.cosignature(log.text(), 1_800_000_000);
      const witnesses = { keys: [parseVerifierKey(witness.vkey)], quorum: 1 };
      const given = { logKey: demands.logKey, witnesses };
      expect(reasonOf({ ...receipt, checkpoint: log.checkpoint(SIZE, line) }, given)).toBe('accepted');
      for (const flipped of eachBitFlipped(Buffer.from(line))) {
        const checkpoint = log.checkpoint(SIZE, flipped.toString());
        expect(reasonOf({ ...receipt, checkpoint }, given)).toMatch(/^checkpoint\.(?:malformed|cosignature)$/);
      }
    },
    LONG_MS,
  );
});

describe('a receipt is malformed', () => {
  test.each<[string, () => unknown]>([
    ['that is absent', () => undefined],
    ['that is null', () => null],
    ['that is a list', () => [receipt]],
    ['that is text', () => JSON.stringify(receipt)],
    ['without an entry', () => without('entry')],
    ['without an index', () => without('index')],
    ['without a proof', () => without('proof')],
    ['without a checkpoint', () => without('checkpoint')],
    ['with another member', () => ({ ...receipt, note: '' })],
    ['with the answer around it', () => ({ receipt })],
    ['with an index as text', () => ({ ...receipt, index: String(INDEX) })],
    ['with an index below 0', () => ({ ...receipt, index: -1 })],
    ['with index -0', () => ({ ...receipt, index: -0 })],
    ['with a fraction as index', () => ({ ...receipt, index: 6.5 })],
    ['with an index of 2^53', () => ({ ...receipt, index: 2 ** 53 })],
    ['with a proof that is text', () => ({ ...receipt, proof: receipt.proof.join('') })],
    ['with a proof of 64 hashes', () => ({ ...receipt, proof: Array<string>(64).fill(receipt.proof[0]!) })],
    ['with a hash of 31 bytes', () => withProof(Buffer.alloc(31).toString('base64url'))],
    ['with a hash of 33 bytes', () => withProof(Buffer.alloc(33).toString('base64url'))],
    ['with a hash that is padded', () => withProof(`${receipt.proof[0]!}=`)],
    ['with a hash in another alphabet', () => withProof('+'.repeat(43))],
    ['with a hash whose unused bits are set', () => withProof(`${'A'.repeat(42)}B`)],
    ['with a hash that is no text', () => ({ ...receipt, proof: [5] })],
    ['with an entry of 16385 bytes', () => ({ ...receipt, entry: 'x'.repeat(16_385) })],
    ['with a checkpoint over 64 Ki characters', () => ({ ...receipt, checkpoint: 'x'.repeat(65_537) })],
    ['with a checkpoint that is no text', () => ({ ...receipt, checkpoint: {} })],
    ['with salts that are undefined', () => ({ ...receipt, salts: undefined })],
    ['with salts that are none', () => ({ ...receipt, salts: {} })],
    ['with salts beside plain names', () => ({ ...receipt, salts: { key: salt(16) } })],
  ])('%s', (_what, make) => {
    expect(reasonOf(make())).toBe('receipt.malformed');
  });

  test('where a member comes from the prototype', () => {
    expect(reasonOf(Object.create(receipt))).toBe('receipt.malformed');
  });

  test.each<[string, (entry: Readonly<Record<string, unknown>>) => string]>([
    ['is not JSON', () => '{'],
    ['is a list', () => '[]'],
    ['has white space', (e) => JSON.stringify(e, null, 1)],
    ['has its members in another order', (e) => JSON.stringify(Object.fromEntries(Object.entries(e).reverse()))],
    ['has a member twice', (e) => canonical(e).replace('"boot"', '"boot":"pinned","boot"')],
    ['has an escape that is not needed', (e) => canonical(e).replace('weights', 'w\\u0065ights')],
    ['has a fraction', (e) => canonical({ ...e, zz: 1.5 })],
    ['is of another type', (e) => canonical({ ...e, type: 'denial' })],
    ['has no type', (e) => canonical(lacking(e, 'type'))],
    ['has another profile', (e) => canonical({ ...e, profile: 'staging' })],
    ['has another boot chain', (e) => canonical({ ...e, boot: 'trusted' })],
    ['says that names are hidden in another way', (e) => canonical({ ...e, names: 'sealed' })],
    ['has upper-case hex', (e) => canonical({ ...e, policy_sha256: 'AB'.repeat(32) })],
    ['has a hash that is too short', (e) => canonical({ ...e, jwe_sha256: 'ab'.repeat(31) })],
    ['has a number where text belongs', (e) => canonical({ ...e, state_generation: 17 })],
    ['has a version that is none', (e) => canonical({ ...e, version: 'latest' })],
    ['has a time that is none', (e) => canonical({ ...e, time: 'now' })],
    ['has control characters in a name', (e) => canonical({ ...e, deployment: 'a\u001b[2J' })],
  ])('whose entry %s', (_what, write) => {
    expect(outcomeOf(write(ENTRY))).toBe('receipt.malformed');
  });

  test('whose entry has a surrogate that stands alone, which hashes like the character that replaces it', () => {
    const made = logWith(canonical({ ...ENTRY, zz: '\ufffd' }));
    const wire = made.receipt(INDEX);
    const logKey = parseVerifierKey(made.key.vkey);
    expect(reasonOf(wire, { logKey })).toBe('accepted');
    const other = wire.entry.replace('\ufffd', '\ud800');
    expect(Buffer.from(other)).toEqual(Buffer.from(wire.entry));
    expect(reasonOf({ ...wire, entry: other }, { logKey })).toBe('receipt.malformed');
  });

  test.each([
    ...['time', 'profile', 'broker', 'deployment', 'key', 'version', 'policy_sha256', 'recipient', 'ak_name', 'boot'],
    'state_generation',
  ])('whose entry lacks %s', (member) => {
    expect(outcomeOf(canonical(lacking(ENTRY, member)))).toBe('receipt.malformed');
  });

  test('never by another error, whatever it is', () => {
    const anything = fc.oneof(
      fc.anything(),
      fc.record(
        {
          entry: fc.string(),
          index: fc.integer(),
          proof: fc.array(fc.string()),
          checkpoint: fc.string(),
          salts: fc.anything(),
        },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(anything, (value) => {
        expect(verifyReceipt(value, demands).ok).toBe(false);
        try {
          parseReceipt(value);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test('not when it is one: what was encoded is what is read', () => {
    const bytes = (length: number) =>
      fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
    const receipts = fc.record({
      entry: fc.string(),
      index: fc.maxSafeNat(),
      proof: fc.array(bytes(32), { maxLength: 63 }),
      checkpoint: fc.string(),
      salts: fc
        .dictionary(fc.string(), bytes(16), { maxKeys: 16, noNullPrototype: true })
        .map((s) => new Map(Object.entries(s))),
    });
    fc.assert(
      fc.property(receipts, (parsed) => {
        expect(parseReceipt(JSON.parse(JSON.stringify(encoded(parsed))))).toEqual(parsed);
      }),
    );
  });

  test('at its limits it is still one', () => {
    const proof = Array<string>(63).fill(receipt.proof[0]!);
    const wide = { ...receipt, proof, entry: 'x'.repeat(16_384), checkpoint: 'x'.repeat(65_536), index: 2 ** 53 - 1 };
    expect(parseReceipt(wide)).toMatchObject({ index: 2 ** 53 - 1 });
  });
});

describe('a checkpoint', () => {
  test('that is no note is malformed', () => {
    expect(reasonOf({ ...receipt, checkpoint: 'none' })).toBe('checkpoint.malformed');
    expect(reasonOf({ ...receipt, checkpoint: receipt.checkpoint.slice(0, -1) })).toBe('checkpoint.malformed');
  });

  test('of another log is refused', () => {
    const other = logWith(receipt.entry, `${BROKER}/fedcba9876543210`);
    expect(reasonOf(other.receipt(INDEX))).toBe('checkpoint.origin');
  });

  test('that another key signed under the same origin is refused', () => {
    expect(reasonOf(logWith(receipt.entry).receipt(INDEX))).toBe('checkpoint.signature');
  });

  test('without any signature of the log is refused', () => {
    const stranger = new TestNoteKey(ORIGIN, 1);
    const checkpoint = `${log.text()}\n${stranger.line(log.text())}`;
    expect(reasonOf({ ...receipt, checkpoint })).toBe('checkpoint.signature');
  });

  test('verified with a key of a witness is refused', () => {
    const witness = new TestNoteKey(ORIGIN, 4);
    const checkpoint = `${log.text()}\n${witness.cosignature(log.text(), 1)}`;
    const logKey = parseVerifierKey(witness.vkey);
    expect(reasonOf({ ...receipt, checkpoint }, { logKey })).toBe('checkpoint.signature');
  });

  test('with signature lines of unknown keys verifies: they are ignored', () => {
    const stranger = new TestNoteKey('stranger.example/log', 1);
    const checkpoint = log.checkpoint(SIZE, stranger.line('another text\n'));
    expect(reasonOf({ ...receipt, checkpoint })).toBe('accepted');
  });

  test('with an extension line verifies only where the log signed it', () => {
    const text = log.text(SIZE, 'extension\n');
    expect(reasonOf({ ...receipt, checkpoint: `${text}\n${log.key.line(text)}` })).toBe('accepted');
    expect(reasonOf({ ...receipt, checkpoint: `${text}\n${log.key.line(log.text())}` })).toBe('checkpoint.signature');
  });
});

describe('a proof', () => {
  test.each<[string, () => unknown]>([
    ['for the index before', () => ({ ...receipt, index: INDEX - 1 })],
    ['for the index after', () => ({ ...receipt, index: INDEX + 1 })],
    ['for an index that the tree does not reach', () => ({ ...receipt, index: SIZE })],
    ['that is empty', () => ({ ...receipt, proof: [] })],
    ['that is too short', () => ({ ...receipt, proof: receipt.proof.slice(0, -1) })],
    ['that is too long', () => ({ ...receipt, proof: [...receipt.proof, receipt.proof[0]] })],
    ['in another order', () => ({ ...receipt, proof: [...receipt.proof].reverse() })],
    ['of another entry', () => ({ ...receipt, proof: log.receipt(INDEX - 1).proof })],
    ['of a smaller tree', () => ({ ...receipt, proof: log.receipt(INDEX, SIZE - 1).proof })],
    ['for another checkpoint', () => ({ ...receipt, checkpoint: log.checkpoint(SIZE - 1) })],
    ['for a checkpoint before the entry', () => ({ ...receipt, proof: [], checkpoint: log.checkpoint(INDEX) })],
    ['in the tree of nothing', () => ({ ...receipt, index: 0, proof: [], checkpoint: log.checkpoint(0) })],
    ['of an entry with a word changed', () => ({ ...receipt, entry: canonical({ ...ENTRY, key: 'others' }) })],
  ])('%s is refused', (_what, make) => {
    expect(reasonOf(make())).toBe('receipt.proof');
  });
});

describe('what was asked for', () => {
  test.each<[string, ReceiptDemands['expected'] & object]>([
    ['release_id', { releaseId: 'cd'.repeat(16) }],
    ['broker', { broker: 'another' }],
    ['deployment', { deployment: 'another' }],
    ['key', { key: 'another' }],
    ['version', { version: 'f'.repeat(32) }],
    ['recipient', { recipient: randomBytes(32).toString('base64url') }],
    ['nonce_sha256', { nonce: randomBytes(32) }],
  ])('is compared: another %s is refused', (member, other) => {
    const result = verifyReceipt(receipt, { ...demands, expected: { ...EXPECTED, ...other } });
    expect(result).toMatchObject({ ok: false, reason: 'receipt.mismatch', detail: expect.stringContaining(member) });
  });

  test('is not matched by what the entry lacks', () => {
    const bare = lacking(ENTRY, 'release_id', 'nonce_sha256', 'jwe_sha256');
    expect(outcomeOf(canonical(bare))).toBe('accepted');
    expect(outcomeOf(canonical(bare), { expected: { releaseId: ENTRY.release_id } })).toBe('receipt.mismatch');
    expect(outcomeOf(canonical(bare), { expected: { nonce: NONCE } })).toBe('receipt.mismatch');
    expect(outcomeOf(canonical(bare), { jwe: JWE })).toBe('receipt.jwe');
  });

  test('does not hinder members that a later broker adds', () => {
    expect(outcomeOf(canonical({ ...ENTRY, lease: '17' }), { jwe: JWE, expected: EXPECTED })).toBe('accepted');
  });

  test('another wrapped key is refused', () => {
    expect(reasonOf(receipt, { ...demands, jwe: `${JWE}A` })).toBe('receipt.jwe');
    expect(reasonOf(receipt, { ...demands, jwe: '' })).toBe('receipt.jwe');
  });

  test('an entry of a broker whose log this is not is refused', () => {
    expect(outcomeOf(canonical({ ...ENTRY, broker: 'another' }))).toBe('receipt.mismatch');
  });
});

describe('salted names', () => {
  test('verify with their salts', () => {
    const { wire, logKey } = saltedReceipt();
    expect(reasonOf(wire, { ...demands, logKey })).toBe('accepted');
  });

  test('are pseudonyms of exactly those names', () => {
    const { wire, logKey } = saltedReceipt();
    for (const expected of [{ deployment: 'other' }, { key: 'other' }, { deployment: ENTRY.key }]) {
      expect(reasonOf(wire, { logKey, expected })).toBe('receipt.mismatch');
    }
    const { deployment, key } = wire.salts!;
    const swapped = { ...wire, salts: { deployment: key!, key: deployment! } };
    expect(reasonOf(swapped, { logKey, expected: { key: ENTRY.key } })).toBe('receipt.mismatch');
  });

  test('cannot be compared without a salt', () => {
    const { wire, logKey } = saltedReceipt();
    const { salts, ...bare } = wire;
    expect(reasonOf(bare, { logKey })).toBe('accepted');
    expect(reasonOf(bare, { logKey, expected: { key: ENTRY.key } })).toBe('receipt.mismatch');
    const half = { ...wire, salts: { deployment: salts!['deployment']! } };
    expect(reasonOf(half, { logKey, expected: { deployment: ENTRY.deployment } })).toBe('accepted');
    expect(reasonOf(half, { logKey, expected: { key: ENTRY.key } })).toBe('receipt.mismatch');
  });

  test('are not matched by a name that is spelled like the pseudonym', () => {
    const { wire, logKey } = saltedReceipt();
    const { key } = JSON.parse(wire.entry) as { key: string };
    expect(reasonOf(wire, { logKey, expected: { key } })).toBe('receipt.mismatch');
  });

  test.each([
    ['for a member that the entry lacks', { nobody: salt(16) }],
    ['of 15 bytes', { key: salt(15) }],
    ['of 17 bytes', { key: salt(17) }],
    ['that is no text', { key: 5 }],
    ['more than there can be', Object.fromEntries(Array.from({ length: 17 }, (_, at) => [String(at), salt(16)]))],
  ])('with a salt %s are malformed', (_what, salts) => {
    const { wire, logKey } = saltedReceipt();
    expect(reasonOf({ ...wire, salts }, { logKey })).toBe('receipt.malformed');
  });
});

describe('witnesses', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestNoteKey(`witness.example/${name}`, 4)) as [
    TestNoteKey,
    TestNoteKey,
    TestNoteKey,
  ];
  const keys = [a, b, c].map((witness) => parseVerifierKey(witness.vkey));
  const TIME = 1_800_000_000;
  const outcome = (lines: string, quorum: number, believed = keys) =>
    reasonOf(
      { ...receipt, checkpoint: log.checkpoint(SIZE, lines) },
      { logKey: demands.logKey, witnesses: { keys: believed, quorum } },
    );

  test('as many as demanded must have cosigned', () => {
    const lines = a.cosignature(log.text(), TIME) + b.cosignature(log.text(), TIME);
    expect([0, 1, 2, 3].map((quorum) => outcome(lines, quorum))).toEqual([
      ...Array<string>(3).fill('accepted'),
      'checkpoint.cosignature',
    ]);
    expect(outcome('', 1)).toBe('checkpoint.cosignature');
    expect(outcome(lines, Number.NaN)).toBe('checkpoint.cosignature');
  });

  test('are named with their times', () => {
    const lines = c.cosignature(log.text(), TIME) + a.cosignature(log.text(), TIME + 1);
    const checkpoint = log.checkpoint(SIZE, lines);
    const result = verifyReceipt({ ...receipt, checkpoint }, { ...demands, witnesses: { keys, quorum: 2 } });
    expect(result.ok && result.value.cosigned).toEqual([
      { name: a.name, timeSeconds: BigInt(TIME + 1) },
      { name: c.name, timeSeconds: BigInt(TIME) },
    ]);
  });

  test('count once, however often they cosign or are believed', () => {
    const lines = a.cosignature(log.text(), TIME) + a.cosignature(log.text(), TIME + 1);
    expect(outcome(lines, 2)).toBe('checkpoint.cosignature');
    expect(outcome(lines, 2, [keys[0]!, keys[0]!])).toBe('checkpoint.cosignature');
    expect(outcome(lines, 1, [keys[0]!, keys[0]!])).toBe('accepted');
  });

  test('that are not believed are ignored', () => {
    const lines = a.cosignature(log.text(), TIME) + new TestNoteKey('other.example/w', 4).cosignature(log.text(), TIME);
    expect(outcome(lines, 1)).toBe('accepted');
    expect(outcome(lines, 2)).toBe('checkpoint.cosignature');
  });

  test('must have signed this very checkpoint', () => {
    expect(outcome(a.cosignature(log.text(SIZE - 1), TIME), 1)).toBe('checkpoint.cosignature');
  });

  test('with a cosignature that does not verify spoil the checkpoint, also where others suffice', () => {
    const lines = a.cosignature(log.text(), TIME) + b.cosignature('another\n', TIME);
    expect(outcome(lines, 1)).toBe('checkpoint.cosignature');
  });

  test('cannot be the log itself', () => {
    expect(outcome('', 1, [demands.logKey])).toBe('checkpoint.cosignature');
  });
});

test.each([
  [`${BROKER}/0123456789abcdef`, true],
  [BROKER, false],
  [`${BROKER}/`, false],
  [`${BROKER}/0123456789ABCDEF`, false],
  [`${BROKER}/0123456789abcde`, false],
  [`${BROKER}/x/0123456789abcdef`, false],
  [`${BROKER}0/0123456789abcdef`, false],
  [`/0123456789abcdef`, false],
])('the log %s is one of the broker: %s', (origin, expected) => {
  expect(isLogOf(origin, BROKER)).toBe(expected);
});

function* eachBitFlipped(bytes: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    yield flipped;
  }
}

function releaseBody(): Readonly<Record<string, string>> {
  const body = lacking(ENTRY, 'type', 'time', 'state_generation');
  return { ...body, ak_spki_sha256: '44'.repeat(32), ak_trust: 'pinned', decision_sha256: '55'.repeat(32) };
}

/** A receipt whose names are salted as the broker salts them. */
function saltedReceipt(): { wire: WireReceipt; logKey: ReceiptDemands['logKey'] } {
  const at = { timeMs: 1_800_000_000_000, generation: 4 };
  const { text, salts } = composeEntry('release', releaseBody(), at, new Pseudonyms(randomBytes(32)));
  const made = logWith(text);
  return { wire: { ...made.receipt(INDEX), salts: salts! }, logKey: parseVerifierKey(made.key.vkey) };
}

function salt(length: number): string {
  return randomBytes(length).toString('base64url');
}

function without(member: keyof WireReceipt): object {
  return lacking(receipt, member);
}

function lacking<T>(members: Readonly<Record<string, T>> | object, ...names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !names.includes(name)));
}

function withProof(hash: string): object {
  return { ...receipt, proof: [hash, ...receipt.proof.slice(1)] };
}

function encoded({ entry, index, proof, checkpoint, salts }: ParsedReceipt): object {
  return {
    entry,
    index,
    checkpoint,
    proof: proof.map((hash) => hash.toString('base64url')),
    ...(salts.size === 0
      ? {}
      : { salts: Object.fromEntries([...salts].map(([member, bytes]) => [member, bytes.toString('base64url')])) }),
  };
}
