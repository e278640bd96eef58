/** Releases to AKs that certificates vouched for, appraised again. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { canonicalJson } from '../../src/bytes/canonical-json.js';
import { open, seal } from '../../src/crypto/aead.js';
import { sha256Hex } from '../../src/crypto/digest.js';
import { openAppraisal } from '../../src/release/archive.js';
import { createBroker } from '../../src/release/create-broker.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ecKey } from '../helpers/pki.js';
import { ADMIN, bootedMachine, type Asked, released, valueOf } from '../helpers/test-broker.js';
import { TestAuthority } from '../helpers/test-authority.js';
import { certified, withoutAk, World } from './ak-trust-world.js';

const TEN_YEARS_MS = 10 * 365 * 86_400_000;

let world: World;
let maker: TestAuthority;
let machine: SimulatorAttester;
let asked: Asked;
const ek = ecKey().spki;
/** What vouched for it, and the id of the release. */
const releases = new Map<string, string>();

beforeAll(async () => {
  world = await World.start({ archiveEvidence: true });
  maker = new TestAuthority('Maker', world.nowMs);
  machine = await bootedMachine();
  asked = await world.deploy('llm', {
    trust: ['ek-certificate'],
    roots: maker.roots,
    allow: { ek: [sha256Hex(ek)] },
  });
  await world.enrol(machine, maker.ek(ek), ek, ['llm']);
  world.crls = { lists: [maker.crl('ca', []), maker.crl('root', [])], policy: 'required' };
  releases.set('EK', released(await world.release(machine, asked)).release_id);
  const cloud = await world.deploy('cloud', { trust: ['ak-certificate'], roots: maker.roots, anyFromRoots: true });
  const other = await bootedMachine();
  const withChain = certified(other, maker.ak(other.ak.spki));
  releases.set('AK', released(await world.release(withChain, cloud)).release_id);
  releases.set('AK without its public area', released(await world.release(withChain, cloud, withoutAk)).release_id);
});
afterAll(() => world.close());

const replay = async (releaseId: string, broker = world.broker) => valueOf(await broker.replayRelease(releaseId, {}));

describe('a replay', () => {
  test.each(['EK', 'AK', 'AK without its public area'])('comes to the same: certificate of the %s', async (which) => {
    const view = await replay(releases.get(which) ?? '');
    expect(view).toMatchObject({ same: true, differences: [] });
    const trust = which === 'EK' ? 'ek-certificate' : 'ak-certificate';
    const name = which === 'AK without its public area' ? 'unknown' : expect.stringMatching(/^000b/);
    expect(view.log).toMatchObject({ ak_trust: trust, ak_name: name });
    expect(view.claims).toMatchObject({ tpm: { ak: { trust } } });
  });

  test('comes to the same ten years later, whatever was revoked, put aside, forgotten or exchanged', async () => {
    const steps: Readonly<Record<string, () => Promise<unknown>>> = {
      'EK revoked': () => world.revoke(`ek/${sha256Hex(ek)}`),
      'CRLs gone': async () => (world.crls = { lists: [], policy: 'required' }),
      'AK revoked': () => world.revoke(sha256Hex(machine.ak.spki)),
      'attester forgotten': () =>
        world.test.context.store.change(async (change) => {
          await change.append('attester.revoked', { actor: 'test', ak_spki_sha256: sha256Hex(machine.ak.spki) });
          await change.attesters.remove(sha256Hex(machine.ak.spki));
        }),
      'roots exchanged': () =>
        world.deploy('llm', { trust: ['ek-certificate'], roots: new TestAuthority('Other', world.nowMs).roots }),
      'kind no longer trusted': () => world.deploy('cloud', { trust: ['pinned'] }),
      'key frozen': async () => valueOf(await world.broker.setKeyFrozen(ADMIN, 'llm-key', true)),
    };
    for (const [step, carryOut] of Object.entries(steps)) {
      await carryOut();
      for (const [which, id] of releases) expect([step, which, (await replay(id)).same]).toEqual([step, which, true]);
    }
    const later = createBroker({ ...world.test.context, clock: () => world.nowMs + TEN_YEARS_MS });
    for (const id of releases.values()) expect((await replay(id, later)).same).toBe(true);
  });

  test('finds a release that the facts of then did not allow', async () => {
    const id = releases.get('EK') ?? '';
    const { context, dataDir } = world.test;
    const bound = canonicalJson({ broker: context.broker, purpose: 'portcullis/archive/v1', release_id: id });
    const { sealed } = (await context.store.archived(id))!;
    const text = open(context.archive.key, sealed, bound).toString('utf8');
    const archived = valueOf(openAppraisal(context, id, sealed));
    expect(archived.facts.attester?.enrolments?.[0]?.ek.certificates).toEqual([expect.any(Buffer), maker.ca]);
    const db = new Database(join(dataDir, 'portcullis.db'));
    const replayOf = async (kept: object) => {
      const blob = seal(context.archive.key, Buffer.alloc(12, 9), Buffer.from(JSON.stringify(kept)), bound);
      db.prepare('UPDATE evidence_archive SET sealed = ? WHERE release_id = ?').run(blob, id);
      return replay(id);
    };
    interface Kept {
      readonly facts: { readonly revoked?: readonly string[]; readonly attester: object };
    }
    const kept = JSON.parse(text) as Kept;
    const withFacts = (facts: object) => replayOf({ ...kept, facts: { ...kept.facts, ...facts } });
    const withAttester = (change: object) => withFacts({ attester: { ...kept.facts.attester, ...change } });
    expect(await withFacts({})).toMatchObject({ same: true });
    expect(await withFacts({ revoked: [`ek/${sha256Hex(ek)}`] })).toMatchObject({ refusal: { reason: 'ak.revoked' } });
    expect(await withAttester({ quarantinedAtMs: 1 })).toMatchObject({ refusal: { reason: 'ak.pending' } });
    expect(await withAttester({ enrolments: [] })).toMatchObject({ refusal: { reason: 'ak.untrusted' } });
    expect(await withAttester({ enrolments: undefined })).toMatchObject({ refusal: { reason: 'ak.untrusted' } });
    // As an earlier version kept them: nothing but AKs could be revoked.
    expect(await withFacts({ revoked: undefined })).toMatchObject({ same: true });
    db.close();
  });
});
