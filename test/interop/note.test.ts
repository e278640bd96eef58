import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CheckpointSigner, treeHeadText, verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { Cosigner, verifyCosignature } from '../../src/translog/cosignature.js';
import { leafHash } from '../../src/translog/merkle.js';
import { parseNote, parseVerifierKey } from '../../src/translog/note.js';

const SCRIPT = fileURLToPath(new URL('./verify-note.py', import.meta.url));
const run = promisify(execFile);
const folders = (process.env['PATH'] ?? '').split(delimiter);
const available = ['python3', 'openssl'].every((tool) => folders.some((folder) => existsSync(join(folder, tool))));

(available ? describe : describe.skip)('notes, with Python and openssl on the other side', () => {
  const ORIGIN = 'broker/0011223344556677';
  const log = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 7));
  const witness = new Cosigner('witness.example/w', Buffer.alloc(32, 8));
  const head = { origin: ORIGIN, size: 70_000, root: leafHash(Buffer.from('a tree')) };
  const text = treeHeadText(head);
  const checkpoint = log.sign(head.size, head.root) + witness.cosign(text, 1_679_315_147);
  let dir: string;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-note-'));
  });

  afterAll(() => rm(dir, { recursive: true, force: true }));

  async function verified(note: string, vkey: string): Promise<string> {
    const file = join(dir, 'note');
    await writeFile(file, note);
    return run('python3', [SCRIPT, file, vkey]).then(
      ({ stdout }) => stdout,
      (error: unknown) => `refused: ${(error as { stderr: string }).stderr.trim()}`,
    );
  }

  test('openssl verifies the checkpoints that are signed here', async () => {
    expect(await verified(checkpoint, log.verifierKey)).toBe(text);
  });

  test('openssl verifies the cosignatures that are made here', async () => {
    expect(await verified(checkpoint, witness.verifierKey)).toBe(`1679315147\n${text}`);
  });

  test('openssl refuses them over another tree size', async () => {
    const tampered = checkpoint.replace('70000', '70001');
    for (const vkey of [log.verifierKey, witness.verifierKey]) {
      expect(await verified(tampered, vkey)).toContain('a signature of the key does not verify');
    }
  });

  test('a checkpoint and a cosignature that openssl signed are accepted here', async () => {
    const file = (name: string) => join(dir, name);
    const openssl = (...args: string[]) => run('openssl', args);
    await openssl('genpkey', '-algorithm', 'ed25519', '-out', file('key.pem'));
    await openssl('pkey', '-in', file('key.pem'), '-pubout', '-outform', 'DER', '-out', file('key.der'));
    const publicKey = (await readFile(file('key.der'))).subarray(-32);

    async function line(name: string, type: number, message: string, before: Buffer) {
      const typed = Buffer.concat([Buffer.of(type), publicKey]);
      const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
      await writeFile(file('message'), message);
      const [input, output] = [file('message'), file('signature')];
      await openssl('pkeyutl', '-sign', '-rawin', '-inkey', file('key.pem'), '-in', input, '-out', output);
      const signature = Buffer.concat([id, before, await readFile(output)]).toString('base64');
      return {
        line: `\u2014 ${name} ${signature}\n`,
        key: parseVerifierKey(`${name}+${id.toString('hex')}+${typed.toString('base64')}`),
      };
    }

    const time = Buffer.from('000000006418514b', 'hex');
    const seconds = time.readBigUInt64BE();
    const signed = await line(ORIGIN, 1, text, Buffer.alloc(0));
    const cosigned = await line('w', 4, `cosignature/v1\ntime ${String(seconds)}\n${text}`, time);
    const note = `${text}\n${signed.line}${cosigned.line}`;
    expect(verifyCheckpoint(note, signed.key)).toMatchObject({ ok: true, value: { head } });
    expect(verifyCosignature(parseNote(note), cosigned.key)).toBe(seconds);
    expect(verifyCheckpoint(note.replace('70000', '70001'), signed.key)).toMatchObject({
      reason: 'checkpoint.signature',
    });
  });
});
