import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { CheckpointSigner, parseTreeHead, treeHeadText, verifyCheckpoint } from '../../../src/translog/checkpoint.js';
import { Cosigner, verifyCosignature } from '../../../src/translog/cosignature.js';
import { EMPTY_ROOT } from '../../../src/translog/merkle.js';
import { parseVerifierKey } from '../../../src/translog/note.js';
import type { FuzzTarget } from '../target.js';

const origin = 'broker/0011223344556677';
const log = new CheckpointSigner(origin, Buffer.alloc(32, 1));
const stranger = new CheckpointSigner('broker/8899aabbccddeeff', Buffer.alloc(32, 2));
const witness = new Cosigner('witness.example/w', Buffer.alloc(32, 3));
const logKey = parseVerifierKey(log.verifierKey);
const witnessKey = parseVerifierKey(witness.verifierKey);

const heads = [
  { origin, size: 0, root: EMPTY_ROOT },
  { origin, size: 7, root: Buffer.alloc(32, 0x5a) },
  { origin, size: 20_852_163, root: Buffer.alloc(32, 0xa5) },
];
const signed = new Set(heads.map(treeHeadText));
const cosigned = new Map(heads.map((head, at) => [treeHeadText(head), 1_700_000_000 + at]));
const withCosignature = heads.map((head) => {
  const text = treeHeadText(head);
  return log.sign(head.size, head.root) + witness.cosign(text, cosigned.get(text) ?? 1);
});

export const targets: readonly FuzzTarget[] = [
  {
    name: 'translog/tree-head',
    seeds: [...signed, `${treeHeadText(heads[1] ?? { origin, size: 0, root: EMPTY_ROOT })}extension\n`].map((text) =>
      Buffer.from(text),
    ),
    run: (input) => {
      const text = input.toString('utf8');
      try {
        if (!text.startsWith(treeHeadText(parseTreeHead(text)))) throw new Error('a tree head has two spellings');
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
  {
    name: 'translog/checkpoint',
    seeds: [...withCosignature, stranger.sign(7, Buffer.alloc(32, 0x5a))].map((text) => Buffer.from(text)),
    run: (input) => {
      const verified = verifyCheckpoint(input.toString('utf8'), logKey);
      if (!verified.ok) return;
      const { head, note } = verified.value;
      if (!signed.has(note.text) || treeHeadText(head) !== note.text) {
        throw new Error('accepts a checkpoint that the log did not sign');
      }
      const time = verifyCosignature(note, witnessKey);
      if (time !== undefined && Number(time) !== cosigned.get(note.text)) {
        throw new Error('accepts a cosignature that the witness did not make');
      }
    },
  },
];
