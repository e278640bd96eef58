/** The commands against the built program, as it serves its own log. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { createAuthority } from '../http/pki.js';
import { DEPLOYMENT, KEY, provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';

const RELEASES = 20;
const root = mkdtempSync(join(tmpdir(), 'portcullis-log-'));
let broker: ServedBroker;
let keyFile: string;
let size: number;
beforeAll(async () => {
  broker = await ServedBroker.start();
  const machine = await provision(broker);
  for (let at = 0; at < RELEASES; at++) {
    expect((await sendRelease(broker, await wireRequest(broker, machine))).status).toBe(200);
  }
  keyFile = join(root, 'log.vkey');
  writeFileSync(keyFile, (await broker.call('GET', '/log/key')).body['text'] as string);
  size = Number((await checkpoint()).split('\n')[1]);
});
afterAll(async () => {
  await broker.close();
  rmSync(root, { recursive: true });
});

async function checkpoint(): Promise<string> {
  return (await broker.call('GET', '/log/checkpoint')).body['text'] as string;
}

async function log(
  ...line: readonly string[]
): Promise<{ code: number; json: Record<string, unknown>; stderr: string }> {
  const env = { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: broker.token, XDG_STATE_HOME: root };
  const { code, stdout, stderr } = await portcullis(['log', ...line, '--json'], env);
  return { code, json: JSON.parse(stdout) as Record<string, unknown>, stderr };
}

describe('the log of a broker', () => {
  test('verifies, and again from where that ended', async () => {
    expect(await log('verify', '--log-key', keyFile)).toMatchObject({
      code: 0,
      json: { ok: true, size, first: 0, reached: size },
    });
    expect(await log('verify', '--log-key', keyFile)).toMatchObject({ code: 0, json: { ok: true, first: size } });
  });

  test('is queried over the broker as over an exported copy', async () => {
    const copy = join(root, 'copy');
    expect(await log('export', '--out', copy, '--log-key', keyFile)).toMatchObject({ code: 0, json: { size } });
    expect(await log('verify', '--dir', copy, '--log-key', join(copy, 'log-key'), '--from-start')).toMatchObject({
      code: 0,
    });
    const selection = [
      '--type',
      'release',
      '--deployment',
      DEPLOYMENT,
      '--key',
      KEY,
      '--since',
      '2026-01-01T00:00:00Z',
    ];
    const served = (await log('query', ...selection)).json['items'] as { index: number; entry: unknown }[];
    const copied = (await log('query', '--dir', copy, '--log-key', keyFile, ...selection)).json[
      'items'
    ] as typeof served;
    expect(served).toHaveLength(RELEASES);
    expect(copied.map(({ index, entry }) => ({ index, entry }))).toEqual(
      served.map(({ index, entry }) => ({ index, entry })),
    );
  });

  test('has the newest releases at its end', async () => {
    const { code, json, stderr } = await log('tail', '-n', '5');
    expect({ code, size: json['size'] }).toEqual({ code: 0, size });
    expect((json['items'] as { entry: { type: string } }[]).map(({ entry }) => entry.type)).toEqual(
      Array(5).fill('release'),
    );
    expect(stderr).toContain('note: the log key is the one that');
  });

  test('no longer verifies once a row of it was changed with SQL, or taken away', async () => {
    const db = new Database(join(broker.dataDir, 'portcullis.db'));
    const row = db.prepare('SELECT log_index, entry, leaf_hash FROM log_entries WHERE log_index = 12').get() as {
      entry: string;
      leaf_hash: Buffer;
    };
    const changed = row.entry.replace(/"boot":"pinned"/, '"boot":"unmeasured"');
    expect(changed).not.toBe(row.entry);
    db.prepare('UPDATE log_entries SET entry = ? WHERE log_index = 12').run(changed);
    const found = await log('verify', '--log-key', keyFile, '--from-start');
    expect(found).toMatchObject({ code: 1, json: { ok: false } });
    expect(JSON.stringify(found.json)).toMatch(/"index":12|store\.integrity/);
    db.prepare('UPDATE log_entries SET entry = ? WHERE log_index = 12').run(row.entry);
    expect((await log('verify', '--log-key', keyFile, '--from-start')).code).toBe(0);
    db.prepare('DELETE FROM log_entries WHERE log_index = 12').run();
    expect((await log('verify', '--log-key', keyFile, '--from-start')).code).toBe(1);
    db.close();
  });
});

describe('the log of a broker with TLS', () => {
  test('is verified and exported with the authority of --ca, and with no other', async () => {
    const at = (name: string, pem: string): string => {
      writeFileSync(join(root, name), pem);
      return join(root, name);
    };
    const authority = createAuthority('test authority');
    const { cert, key } = authority.issue('broker');
    const ca = at('ca.pem', authority.cert);
    const stranger = at('stranger.pem', createAuthority('stranger').cert);
    const served = await ServedBroker.start({
      args: ['--tls-cert', at('server.pem', cert), '--tls-key', at('server.key', key)],
    });
    const dispatcher = new Agent({ connect: { ca: authority.cert } });
    try {
      expect(served.url).toMatch(/^https:/);
      const logKey = at('tls.vkey', await (await request(`${served.url}/log/key`, { dispatcher })).body.text());
      const verify = (...more: readonly string[]) =>
        portcullis(['log', 'verify', '--url', served.url, '--log-key', logKey, '--json', ...more], {
          XDG_STATE_HOME: join(root, 'tls'),
        });
      const verified = await verify('--ca', ca);
      expect({ code: verified.code, json: JSON.parse(verified.stdout) as unknown }).toMatchObject({
        code: 0,
        json: { ok: true, findings: [], rollbacks: [] },
      });
      for (const untrusted of [await verify('--ca', stranger), await verify()]) {
        expect(untrusted.code).toBe(3);
        expect(untrusted.stderr).toContain('certificate');
      }
      const copy = join(root, 'tls-copy');
      const line = ['log', 'export', '--url', served.url, '--ca', ca, '--log-key', logKey, '--out', copy];
      expect((await portcullis(line)).code).toBe(0);
    } finally {
      await dispatcher.close();
      await served.close();
    }
  });
});
