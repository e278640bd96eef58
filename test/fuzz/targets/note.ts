import { MalformedError } from '../../../src/bytes/malformed-error.js';
import {
  formatVerifierKey,
  parseNote,
  parseSignatures,
  parseVerifierKey,
  signatureLine,
  type NoteSignature,
} from '../../../src/translog/note.js';
import type { FuzzTarget } from '../target.js';

const line = (name: string, length: number) => signatureLine(name, Buffer.of(1, 2, 3, 4), Buffer.alloc(length, 7));
const key = (type: 1 | 4) => formatVerifierKey(`name/${String(type)}`, type, Buffer.alloc(32, 9));

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

const written = (signatures: readonly NoteSignature[]) =>
  signatures.map(({ name, keyId, signature }) => signatureLine(name, keyId, signature)).join('');

export const targets: readonly FuzzTarget[] = [
  {
    name: 'translog/note',
    seeds: [
      `text\n\n${line('broker/0011', 64)}`,
      `one\n\ntwo \u{1f600}\n\n${line('a', 64)}${line('witness.example/w', 72)}`,
      line('alone', 1),
    ].map((text) => Buffer.from(text)),
    run: (input) => {
      const text = input.toString('utf8');
      const note = parsed(() => parseNote(text));
      if (note !== undefined && `${note.text}\n${written(note.signatures)}` !== text) {
        throw new Error('a note has two spellings');
      }
      const signatures = parsed(() => parseSignatures(text));
      if (signatures !== undefined && written(signatures) !== text) throw new Error('signatures have two spellings');
      if (note !== undefined && signatures !== undefined) throw new Error('a note is signature lines alone');
    },
  },
  {
    name: 'translog/verifier-key',
    seeds: [Buffer.from(key(1)), Buffer.from(key(4))],
    run: (input) => {
      const text = input.toString('utf8');
      const read = parsed(() => parseVerifierKey(text));
      if (read === undefined) return;
      const raw = read.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
      if (formatVerifierKey(read.name, read.type, raw) !== text) throw new Error('a key has two spellings');
    },
  },
];
