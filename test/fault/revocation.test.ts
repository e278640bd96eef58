/** Revocation under load, on several workers and on several replicas: nothing is released behind the entry that revokes. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { authorityIdentity } from '../../src/endorsement/identity.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { postgresAvailable, PostgresServer } from '../helpers/postgres.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { TestAuthority } from '../helpers/test-authority.js';
import { bootedMachine, deploymentDocument } from '../helpers/test-broker.js';
import { DEPLOYMENT, provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';
import { Replicas } from './replicas.js';

const CLIENTS = 8;
/** Releases before the revocation is asked for. */
const WARM = 30;
/** Refusals that a client collects after it. */
const REFUSALS_EACH = 3;

type Endpoint = (turn: number) => ServedBroker;

interface Entry {
  readonly index: number;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** The whole log, the oldest entry first. */
async function logOf(broker: ServedBroker): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  let cursor: string | undefined;
  do {
    const path = `/v1/entries?limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`;
    const { body } = await broker.admin('GET', path);
    entries.push(...(body['items'] as Entry[]));
    cursor = body['next_cursor'] as string | undefined;
  } while (cursor !== undefined);
  return entries.sort((a, b) => a.index - b.index);
}

/** Draws keys with the machine from all sides until each client was refused again and again; revokes in the middle. */
async function revokeUnderLoad(
  at: Endpoint,
  machine: SimulatorAttester,
  revoke: (broker: ServedBroker) => Promise<unknown>,
): Promise<ReadonlySet<string>> {
  const recipient = await createRecipient('P-256');
  const releases = new Set<string>();
  let refusals = 0;
  let revoked = false;
  const client = async (id: number): Promise<void> => {
    let refusedHere = 0;
    for (let turn = id; refusedHere < REFUSALS_EACH; turn++) {
      const request = await wireRequest(at(turn), machine, recipient);
      const sentAfter = revoked;
      // Made at one, sent to another.
      const { status, body } = await sendRelease(at(turn + (turn % 3)), request);
      if (status === 200) {
        expect(sentAfter).toBe(false);
        releases.add(String(body['release_id']));
      } else if (status !== 503) {
        expect(body).toMatchObject({ reason: 'ak.revoked' });
        refusals++;
        refusedHere++;
      }
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)));
  const revoking = (async () => {
    while (releases.size < WARM) await pause(5);
    await revoke(at(0));
    revoked = true;
  })();
  await Promise.all([clients, revoking]);
  expect(refusals).toBe(CLIENTS * REFUSALS_EACH);
  return releases;
}

/** That the log holds what was answered, and no release of the AK behind the revocation. */
function expectNothingAfter(
  log: readonly Entry[],
  revokes: (entry: Entry['entry']) => boolean,
  spki: string,
  releases: ReadonlySet<string>,
): void {
  const at = log.find(({ entry }) => revokes(entry))?.index ?? -1;
  expect(at).toBeGreaterThan(0);
  const ofMachine = log.filter(({ entry }) => entry['type'] === 'release' && entry['ak_spki_sha256'] === spki);
  expect(ofMachine.filter(({ index }) => index > at)).toEqual([]);
  expect(ofMachine.map(({ entry }) => entry['release_id']).sort()).toEqual([...releases].sort());
}

async function revokesAnAk(at: Endpoint, machine: SimulatorAttester): Promise<void> {
  const spki = sha256Hex(machine.ak.spki);
  const releases = await revokeUnderLoad(at, machine, (broker) =>
    broker.admin('POST', `/v1/attesters/${spki}/revoke`, {}),
  );
  const revokes = (entry: Entry['entry']) => entry['type'] === 'attester.revoked' && entry['ak_spki_sha256'] === spki;
  expectNothingAfter(await logOf(at(1)), revokes, spki, releases);
}

/** A machine whose cloud certifies its AK, and the revocation of the cloud's CA. */
async function revokesACa(at: Endpoint): Promise<void> {
  const authority = new TestAuthority('Cloud', Date.now());
  const rules = { trust: ['ak-certificate'], roots: authority.roots, anyFromRoots: true };
  await at(0).admin('PUT', `/v1/deployments/${DEPLOYMENT}`, deploymentDocument(DEPLOYMENT, { attesters: rules }));
  const { tpm, ak } = await bootedMachine();
  const chain = authority.ak(ak.spki).map((der) => der.toString('base64url'));
  const machine = new SimulatorAttester(tpm, ak, chain);
  const identity = authorityIdentity(parseCertificate(authority.ca));
  const releases = await revokeUnderLoad(at, machine, (broker) =>
    broker.admin('POST', '/v1/revocations', { identity }),
  );
  const revokes = (entry: Entry['entry']) => entry['identity'] === identity;
  expectNothingAfter(await logOf(at(1)), revokes, sha256Hex(ak.spki), releases);
}

describe('a broker of two workers', () => {
  let broker: ServedBroker;
  beforeAll(async () => {
    broker = await ServedBroker.start({ workers: 2 });
  }, 60_000);
  afterAll(() => broker.close());

  test('releases nothing to a revoked AK, nor under a revoked CA', async () => {
    const machine = await provision(broker);
    await revokesAnAk(() => broker, machine);
    await revokesACa(() => broker);
  }, 90_000);
});

const suite = postgresAvailable() ? describe : describe.skip;

suite('two replicas on one PostgreSQL (skipped where the Debian package postgresql is missing)', () => {
  let server: PostgresServer;
  let replicas: Replicas;
  beforeAll(async () => {
    server = await PostgresServer.start();
    replicas = await Replicas.start(server);
  }, 120_000);
  afterAll(async () => {
    await replicas.close();
    await server.close();
  }, 60_000);

  test('release nothing to an AK that was revoked at one of them, nor under a CA that was', async () => {
    const at: Endpoint = (turn) => replicas.at(turn);
    await revokesAnAk(at, replicas.machine);
    await revokesACa(at);
  }, 90_000);
});
