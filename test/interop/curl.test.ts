import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ServedBroker } from '../helpers/served-broker.js';
import { startSwtpm, swtpmAvailable, type Swtpm, type SwtpmAk, type SwtpmAkAlg } from '../helpers/swtpm.js';
import { deploymentDocument, POLICY } from '../helpers/test-broker.js';
import { TestNoteKey } from '../helpers/test-log.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/interop/draw-with-curl.sh', import.meta.url));
const run = promisify(execFile);
const available =
  swtpmAvailable() && ['curl', 'openssl', 'basenc', 'python3'].every((tool) => existsSync(`/usr/bin/${tool}`));

(available ? describe : describe.skip)('a workload made of curl, tpm2-tools and openssl', () => {
  let broker: ServedBroker;
  let tpm: Swtpm;
  let logKey: string;
  const zeros = { '4': ['00'.repeat(32)], '7': ['00'.repeat(32)] };

  beforeAll(async () => {
    [broker, tpm] = await Promise.all([ServedBroker.start(), startSwtpm()]);
    logKey = saveLogKey('log.vkey', String((await broker.call('GET', '/log/key')).body['text']));
    await broker.admin('POST', '/v1/deployments', deploymentDocument('curl', { platform: { pcrs: zeros } }));
    await broker.admin('POST', '/v1/keys', { name: 'curl-key', type: 'EC', curve: 'P-256', deployments: ['curl'] });
    await tpm.extend(8, 'sha256', createHash('sha256').update(POLICY).digest('hex'));
  });

  afterAll(async () => {
    await Promise.all([broker.close(), tpm.close()]);
  });

  function saveLogKey(name: string, vkey: string): string {
    const path = join(broker.dataDir, '..', name);
    writeFileSync(path, vkey);
    return path;
  }

  async function pinnedAk(alg: SwtpmAkAlg): Promise<SwtpmAk> {
    const ak = await tpm.createAk({ alg });
    await broker.admin('POST', '/v1/attesters', { deployment: 'curl', public: ak.public.toString('base64url') });
    return ak;
  }

  /** The lines that the script prints; its answer also where the broker refuses. */
  async function draw(ak: SwtpmAk, selection: string, pinned = logKey): Promise<readonly string[]> {
    const args = [SCRIPT, broker.url, 'curl', 'curl-key', ak.context, ak.publicFile, ak.scheme, ak.hash, selection];
    const env = { ...process.env, TPM2TOOLS_TCTI: tpm.tcti, LOG_KEY: pinned };
    const { stdout } = await run('bash', args, { env }).catch((error: unknown) => error as { stdout: string });
    return stdout.trim().split('\n');
  }

  test.each(['rsa-rsassa', 'rsa-rsapss', 'ecc256', 'ecc384'] as const)(
    'draws the key with an AK of kind %s',
    async (alg) => {
      const lines = await draw(await pinnedAk(alg), '');
      expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
        kty: 'EC',
        crv: 'P-256',
        kid: expect.stringMatching(/^curl-key\//),
      });
    },
  );

  test.each(['sha256:all', 'sha1:0,8+sha256:4,7,8', 'sha384:1,2,3+sha256:4,7,8,16+sha1:23'])(
    'may quote more than was asked for: %s',
    async (selection) => {
      const lines = await draw(await pinnedAk('ecc256'), selection);
      expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ kty: 'EC' });
    },
  );

  test.each([
    ['sha256:4,7', 'quote.pcr_selection'],
    ['sha384:4,7,8', 'quote.pcr_selection'],
    ['sha1:4,7,8', 'quote.pcr_selection'],
  ])('is refused with %s: %s', async (selection, reason) => {
    const [answer] = await draw(await pinnedAk('ecc256'), selection);
    expect(JSON.parse(answer ?? '')).toMatchObject({ status: 403, reason, decision: { met: false } });
  });

  test('decrypts nothing without a receipt of the log whose key it has', async () => {
    const other = saveLogKey('other.vkey', new TestNoteKey('other/0123456789abcdef', 1).vkey);
    const lines = await draw(await pinnedAk('ecc256'), '', other);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      jwe: expect.any(String),
      receipt: { index: expect.any(Number) },
    });
  });

  test('is refused with an AK that nobody pinned', async () => {
    const [answer] = await draw(await tpm.createAk({ alg: 'ecc256' }), '');
    expect(JSON.parse(answer ?? '')).toMatchObject({ status: 403, reason: 'ak.untrusted' });
  });

  test('is refused once something else was measured on top of the policy', async () => {
    const ak = await pinnedAk('ecc256');
    await tpm.extend(8, 'sha256', 'ff'.repeat(32));
    const [answer] = await draw(ak, '');
    expect(JSON.parse(answer ?? '')).toMatchObject({ status: 403, reason: 'policy.hash', decision: { met: false } });
  });
});
