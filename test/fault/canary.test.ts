import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compactDecrypt } from 'jose';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { PROGRAM, ServedBroker } from '../helpers/served-broker.js';
import { DEPLOYMENT, KEY, provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';

const run = promisify(execFile);
/** A key that can be recognised wherever it turns up. */
const CANARY = Buffer.from('CANARY-bird-of-the-mine-0123456789');

/** The spellings in which bytes could leak. */
function spellings(secret: Buffer): readonly string[] {
  const unaligned = [0, 1, 2].map((skip) => secret.subarray(skip, skip + 24 - (skip === 0 ? 0 : 3)));
  const base64 = unaligned.flatMap((part) => [part.toString('base64').replace(/=+$/, ''), part.toString('base64url')]);
  return [secret.toString('latin1'), secret.toString('hex'), secret.toString('hex').toUpperCase(), ...base64];
}

function expectAbsent(haystack: string, secret: Buffer, where: string): void {
  for (const spelling of spellings(secret)) expect([where, haystack.includes(spelling)]).toEqual([where, false]);
}

describe('planted secrets', () => {
  let broker: ServedBroker;
  let machine: SimulatorAttester;
  const seen: [where: string, text: string][] = [];

  beforeAll(async () => {
    broker = await ServedBroker.start();
    machine = await provision(broker, { material: { format: 'raw', data: CANARY.toString('base64url') } });
  });

  afterAll(() => broker.close());

  test('come out to the attested recipient, and only in the JWE', async () => {
    const recipient = await createRecipient('P-256');
    const answer = await sendRelease(broker, await wireRequest(broker, machine, recipient));
    const { plaintext } = await compactDecrypt(String(answer.body['jwe']), recipient.privateKey);
    const jwk = JSON.parse(Buffer.from(plaintext).toString('utf8')) as { k: string };
    expect(Buffer.from(jwk.k, 'base64url')).toEqual(CANARY);
    expectAbsent(JSON.stringify(answer), CANARY, 'release answer');
  });

  test('come out of no route that an administrator can call', async () => {
    const { paths } = (await broker.call('GET', '/openapi.json')).body as {
      paths: Record<string, Record<string, unknown>>;
    };
    const parameters: Record<string, string> = { '{sha256}': '0'.repeat(64), '{id}': '0'.repeat(16) };
    let called = 0;
    for (const [template, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const upper = method.toUpperCase() as 'GET' | 'POST' | 'PUT' | 'DELETE';
        if (upper === 'DELETE') continue;
        const name = template.startsWith('/v1/deployments') ? DEPLOYMENT : KEY;
        const path = template.replace(/\{[^}]+\}/g, (parameter) => parameters[parameter] ?? name);
        const answer = await broker.call(upper, path, upper === 'GET' ? undefined : {}, broker.token);
        seen.push([`${upper} ${path}`, JSON.stringify(answer)]);
        called++;
      }
    }
    expect(called).toBeGreaterThan(25);
    for (const [where, text] of seen) expectAbsent(text, CANARY, where);
  });

  test('do not appear in errors about them', async () => {
    const material = (format: string, data: Buffer) => ({
      name: 'bad',
      deployments: [DEPLOYMENT],
      material: { format, data: data.toString('base64url') },
    });
    const bodies = [
      material('jwk', Buffer.from(`{"kty":"oct","k":"${CANARY.toString('base64url')}","extra":1}`)),
      material('jwk', Buffer.concat([Buffer.from('{"kty":"oct","k":"'), CANARY])),
      material('pkcs8', CANARY),
      { ...material('raw', CANARY), type: 'oct' },
      { name: CANARY.toString('latin1'), deployments: [CANARY.toString('latin1')], type: CANARY.toString('latin1') },
    ];
    for (const body of bodies) {
      const answer = await broker.call('POST', '/v1/keys', body, broker.token);
      expect(answer.status).toBe(400);
      expectAbsent(JSON.stringify(answer), CANARY, JSON.stringify(body).slice(0, 40));
    }
    const answer = await broker.call(
      'GET',
      '/v1/keys',
      undefined,
      `pc_0123456789abcdef_${CANARY.toString('base64url').slice(0, 43)}`,
    );
    expect(answer.status).toBe(401);
    expectAbsent(JSON.stringify(answer), CANARY, 'wrong token');
  });

  test('do not lie in any file, be it the canary, a token or the KEK outside its own file', async () => {
    const kek = JSON.parse(readFileSync(join(broker.dataDir, 'kek.json'), 'utf8')) as unknown;
    const kekBytes = [...JSON.stringify(kek).matchAll(/"([0-9A-Za-z_-]{43})"/g)].map(([, text]) =>
      Buffer.from(text ?? '', 'base64url'),
    );
    expect(kekBytes.length).toBeGreaterThan(0);
    const token = Buffer.from(broker.token.split('_').slice(2).join('_'));
    for (const file of readdirSync(broker.dataDir)) {
      const path = join(broker.dataDir, file);
      expect([file, statSync(path).mode & 0o777]).toEqual([file, 0o600]);
      const text = readFileSync(path, 'latin1');
      expectAbsent(text, CANARY, file);
      if (file !== 'admin.token') expect(text.includes(token.toString('latin1'))).toBe(false);
      if (file !== 'kek.json') for (const bytes of kekBytes) expectAbsent(text, bytes, file);
    }
  });

  test('do not appear in the log, or on the command line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-canary-'));
    writeFileSync(join(folder, 'secret'), CANARY);
    const env = { ...process.env, PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: broker.token };
    const args = ['key', 'import', 'from-file', '--file', join(folder, 'secret'), '--raw', '--deployment', DEPLOYMENT];
    const { stdout, stderr } = await run(process.execPath, [PROGRAM, ...args], { env });
    expectAbsent(stdout + stderr, CANARY, 'portcullis key import');
    const shown = await run(process.execPath, [PROGRAM, 'key', 'show', 'from-file', '--json'], { env });
    expectAbsent(shown.stdout, CANARY, 'portcullis key show');
    rmSync(folder, { recursive: true });
    await broker.kill('SIGTERM');
    expect(broker.output).toContain('"message"');
    expectAbsent(broker.output, CANARY, 'log');
    expect(broker.output).not.toContain(broker.token);
    broker = await ServedBroker.start({ dataDir: broker.dataDir });
  });
});
