import { randomBytes } from 'node:crypto';
import { toHex } from '../src/bytes/hex.js';
import type { OpenBroker } from '../src/cli/compose/open-broker.js';
import { sha256 } from '../src/crypto/digest.js';
import type { Principal } from '../src/release/broker.js';
import type { EntryBody } from '../src/release/store.js';
import { DEPLOYMENT, DEPLOYMENT_DOCUMENT, KEY, POLICY } from './provision.js';

const ADMIN: Principal = { tokenId: 'bench', name: 'bench', role: 'admin' };
/** Releases that share a commit, as under load. */
const BATCH = 32;

/** What it costs to append: per entry, over one tenth of the log. */
export interface AppendCost {
  readonly from: number;
  readonly wallUs: number;
  readonly cpuUs: number;
}

const AK = { ak_name: `000b${'1a'.repeat(32)}`, ak_spki_sha256: '2b'.repeat(32) };

/** The deployment, its key and its AK: what makes the release entries mean something to whoever verifies the log. */
export async function provisionLog({ broker, context }: OpenBroker): Promise<void> {
  await broker.applyDeployment(ADMIN, DEPLOYMENT_DOCUMENT, {});
  await broker.createKey(ADMIN, { name: KEY, deployments: [DEPLOYMENT], type: 'oct' });
  await context.store.change((change) =>
    change.append('attester.trusted', { actor: 'bench', deployment: DEPLOYMENT, ...AK, trust: 'pinned' }),
  );
}

/** Appends `count` release entries, as the store does for releases under load, that say they are the ones from number `from` on. */
export async function appendReleases(
  { broker, context }: OpenBroker,
  from: number,
  count: number,
): Promise<AppendCost> {
  const { store } = context;
  const key = await broker.showKey(KEY);
  const version = key.ok ? (key.value.versions[0]?.version ?? '') : '';
  const { generation, epoch } = await store.read((view) => view.state());
  const detail = JSON.stringify({ met: true, conditions: [{ claim: 'policy.sha256', met: true }] });
  const commit = (at: number) => {
    const nonce = randomBytes(32);
    nonce.writeUIntBE(Date.now(), 0, 6);
    const entry = { ...releaseEntry(context.broker, at, nonce, detail), version };
    return store.commitRelease({
      generation,
      epoch,
      nonce,
      nonceIssuedAtMs: Date.now(),
      nonceExpiresAtMs: Infinity,
      entry,
      detail,
    });
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let done = 0; done < count; done += BATCH) {
    const size = Math.min(BATCH, count - done);
    const outcomes = await Promise.all(Array.from({ length: size }, (_, at) => commit(from + done + at)));
    if (outcomes.some(({ outcome }) => outcome !== 'committed')) throw new Error('a release was not committed');
  }
  const wallUs = ((performance.now() - start) * 1000) / count;
  const { user, system } = process.cpuUsage(cpu);
  return { from, wallUs, cpuUs: (user + system) / count };
}

/** As the broker makes it; hashes that would cost time here are random. */
function releaseEntry(broker: string, at: number, nonce: Buffer, detail: string): EntryBody {
  const some = toHex(randomBytes(32));
  return {
    release_id: at.toString(16).padStart(32, '0'),
    profile: 'development',
    broker,
    deployment: DEPLOYMENT,
    key: KEY,
    policy_sha256: toHex(sha256(POLICY)),
    recipient: 'A'.repeat(43),
    ...AK,
    ak_trust: 'pinned',
    boot: 'pinned',
    evidence_sha256: some,
    jwe_sha256: some,
    nonce_sha256: toHex(sha256(nonce)),
    decision_sha256: toHex(sha256(Buffer.from(detail))),
  };
}
