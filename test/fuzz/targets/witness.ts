import { isUtf8 } from 'node:buffer';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { CheckpointSigner } from '../../../src/translog/checkpoint.js';
import { Cosigner, verifyCosignature } from '../../../src/translog/cosignature.js';
import { EMPTY_ROOT, leafHash } from '../../../src/translog/merkle.js';
import { parseNote, parseSignatures, parseVerifierKey } from '../../../src/translog/note.js';
import { consistencyProof } from '../../../src/translog/proof.js';
import { TreeAppender } from '../../../src/translog/tree-appender.js';
import {
  authenticateSubmission,
  cosignatureIn,
  formatAddCheckpoint,
  formatConflict,
  parseAddCheckpoint,
  parseConflict,
  parseHeldCheckpoint,
  refusalOf,
} from '../../../src/translog/witness.js';
import { witnessList } from '../../../src/config/witness-list.js';
import type { FuzzTarget } from '../target.js';

const signer = new CheckpointSigner('broker.example/log', Buffer.alloc(32, 1));
const cosigner = new Cosigner('witness.example/w', Buffer.alloc(32, 2));
const logs = new Map([[signer.origin, parseVerifierKey(signer.verifierKey)]]);
const witness = parseVerifierKey(cosigner.verifierKey);

const OLD = 5;
const SIZE = 9;
const appender = new TreeAppender(0, []);
const roots = [EMPTY_ROOT];
for (let index = 0; index < SIZE; index++) {
  appender.append(leafHash(Buffer.of(index)));
  roots.push(appender.root());
}
const levels = Array.from({ length: 4 }, (_, level) => appender.completed(level).hashes);
const proof = consistencyProof(OLD, SIZE, (level, index) => levels[level]?.[index] ?? EMPTY_ROOT);
const rootOf = (size: number) => roots[size] ?? EMPTY_ROOT;
const checkpoint = (size: number) => signer.sign(size, rootOf(size));
const signed = new Set(roots.map((root, size) => parseNote(signer.sign(size, root)).text));
const text = parseNote(checkpoint(SIZE)).text;
const line = cosigner.cosign(text, 1_800_000_000);

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'witness/add-checkpoint',
    seeds: [
      formatAddCheckpoint({ oldSize: OLD, proof, checkpoint: checkpoint(SIZE) }),
      formatAddCheckpoint({ oldSize: OLD, proof: [], checkpoint: `${checkpoint(OLD)}${line}` }),
      formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: checkpoint(0) }),
    ].map((body) => Buffer.from(body)),
    run: (input) => {
      if (!isUtf8(input)) return;
      const body = input.toString('utf8');
      const request = parsed(() => parseAddCheckpoint(body));
      if (request === undefined) return;
      if (formatAddCheckpoint(request) !== body) throw new Error('a request has two spellings');
      const submission = authenticateSubmission(request, logs);
      if ('refused' in submission) return;
      if (!signed.has(submission.text)) throw new Error('accepted a checkpoint that the log never signed');
      const latest = { origin: signer.origin, size: OLD, root: rootOf(OLD) };
      if (refusalOf(submission, latest) === undefined && submission.head.size < OLD) throw new Error('went back');
      if (refusalOf(submission, { ...latest, root: Buffer.alloc(32) }) === undefined)
        throw new Error('cosigned a fork');
    },
  },
  {
    name: 'witness/held-checkpoint',
    seeds: [Buffer.from(`${checkpoint(SIZE)}${line}`)],
    run: (input) => {
      const held = parsed(() => parseHeldCheckpoint(input.toString('utf8'), witness));
      if (held !== undefined && held.text !== text) throw new Error('took for its own what it never cosigned');
    },
  },
  {
    name: 'witness/answer',
    seeds: [Buffer.from(line), Buffer.from(`${new Cosigner('other', Buffer.alloc(32, 3)).cosign(text, 5)}${line}`)],
    run: (input) => {
      const answer = input.toString('utf8');
      const found = parsed(() => cosignatureIn(answer, text, witness));
      if (found === undefined) return;
      if (!answer.includes(found)) throw new Error('a cosignature has two spellings');
      if (verifyCosignature({ text, signatures: parseSignatures(found) }, witness) === undefined) {
        throw new Error('counted a cosignature that does not verify');
      }
    },
  },
  {
    name: 'witness/conflict',
    seeds: [Buffer.from('0\n'), Buffer.from('20852163\n'), Buffer.from('9007199254740991\n')],
    run: (input) => {
      const body = input.toString('latin1');
      const size = parsed(() => parseConflict(body));
      if (size !== undefined && formatConflict(size) !== body) throw new Error('a size has two spellings');
    },
  },
  {
    name: 'witness/configured',
    seeds: [
      Buffer.from(JSON.stringify([{ url: 'https://witness.example/w', key: cosigner.verifierKey }])),
      Buffer.from('[]'),
    ],
    run: (input) => {
      const list = witnessList(input.toString('utf8'));
      if (!list.ok) return;
      for (const { url, key, name } of list.value) {
        const { protocol, username, password, search, hash } = new URL(url);
        if (!/^https?:$/.test(protocol) || `${username}${password}${search}${hash}` !== '')
          throw new Error('took a bad URL');
        if (parseVerifierKey(key).name !== name) throw new Error('named a witness otherwise than its key');
      }
    },
  },
];
