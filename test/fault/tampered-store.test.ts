import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { DEPLOYMENT, provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';

/** What somebody with the database, and without the KEK, may try with SQL while the broker runs. */
const ATTACKS: readonly (readonly [name: string, sql: string])[] = [
  [
    'swaps the material of two keys',
    `UPDATE key_versions SET ciphertext = (SELECT o.ciphertext FROM key_versions o WHERE o.key <> key_versions.key), wrapped_dek = (SELECT o.wrapped_dek FROM key_versions o WHERE o.key <> key_versions.key)`,
  ],
  [
    'swaps the names of two keys',
    `UPDATE key_versions SET key = CASE key WHEN 'weights' THEN 'other' ELSE 'weights' END, sequence = sequence + (key = 'weights')`,
  ],
  ['enables a key that was disabled', `UPDATE keys SET state = 'enabled'`],
  ['lets another deployment draw the key', `UPDATE keys SET deployments = '["llm","elsewhere"]'`],
  ['pins another AK', `UPDATE attesters SET ak_name = '000b' || hex(zeroblob(32))`],
  ['registers another policy', `UPDATE policy_links SET sha256 = '${'ab'.repeat(32)}'`],
  ['drops the boot chain', `UPDATE deployments SET document = json_set(document, '$.platform.pcrs', json('{}'))`],
  ['lowers the nonce floor', `UPDATE state SET nonce_floor_ms = -1`],
];

describe('a database that somebody changes with SQL', () => {
  let broker: ServedBroker;
  let machine: SimulatorAttester;

  beforeEach(async () => {
    broker = await ServedBroker.start();
    machine = await provision(broker);
    await broker.admin('POST', '/v1/keys', { name: 'other', type: 'oct', deployments: [DEPLOYMENT] });
  });

  afterEach(() => broker.close());

  test.each(ATTACKS)('%s: nothing is released, and the refusal says why', async (name, sql) => {
    if (name.startsWith('enables')) await broker.admin('POST', '/v1/keys/weights/disable', {});
    const request = await wireRequest(broker, machine);
    const db = new Database(join(broker.dataDir, 'portcullis.db'));
    expect(db.prepare(sql).run().changes).toBeGreaterThan(0);
    db.close();
    const answer = await sendRelease(broker, request);
    expect([answer.status, answer.body['reason']]).toEqual([503, 'store.integrity']);
    expect(JSON.stringify(answer.body)).not.toContain('jwe');
    expect((await broker.call('GET', '/healthz')).status).toBe(200);
  });

  test('a deleted revocation is noticed', async () => {
    await broker.admin('POST', `/v1/attesters/${machine.ak.name.toString('hex')}/revoke`, {});
    const request = await wireRequest(broker, machine);
    expect((await sendRelease(broker, request)).body).toMatchObject({ reason: 'ak.revoked' });
    const db = new Database(join(broker.dataDir, 'portcullis.db'));
    expect(db.prepare('DELETE FROM revocations').run().changes).toBe(1);
    db.close();
    expect((await sendRelease(broker, request)).body).toMatchObject({ reason: 'store.integrity' });
  });
});
