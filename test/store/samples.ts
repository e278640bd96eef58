import type { Json } from '../../src/bytes/canonical-json.js';
import { sha256 } from '../../src/crypto/digest.js';
import type {
  AkEnrolment,
  AttesterRecord,
  BrokerRecord,
  DeploymentRecord,
  EkEndorsement,
  KeyRecord,
  KeyVersionRecord,
  PolicyLink,
  PolicyRecord,
  TokenRecord,
} from '../../src/release/records.js';
import type { ReleaseCommit, Store } from '../../src/release/store.js';

/** The time that clocks of the tests start at. */
export const NOW = Date.UTC(2026, 10, 20, 12, 0, 0, 123);

/** A clock that stands still until it is set. */
export function testClock(): { (): number; now: number } {
  const clock = (): number => clock.now;
  clock.now = NOW;
  return clock;
}

/** 64 hex digits that belong to `text`. */
export function hash(text: string): string {
  return sha256(Buffer.from(text)).toString('hex');
}

export function brokerRecord(): BrokerRecord {
  return {
    broker: 'broker-1',
    profile: 'production',
    createdAtMs: NOW,
    kek: 'kek-1',
    wrappedRootSecret: Buffer.from('wrapped root secret'),
    logOrigin: 'broker-1/0123456789abcdef',
    logPublicKey: Buffer.alloc(32, 1),
    wrappedLogKey: Buffer.from('wrapped log key'),
  };
}

/** Fills an empty store as init does: generation 1, one entry. */
export async function initialise(store: Store): Promise<void> {
  await store.change(async (change) => {
    await change.setBroker(brokerRecord());
    await change.append('broker.started', { profile: 'production' });
  });
}

export function deployment(name: string, createdAtMs: number = NOW): DeploymentRecord {
  return {
    deployment: {
      name,
      description: `what ${name} is for: "quotes", ü and 鍵`,
      measurement: { source: 'tpm', bank: 'sha256', pcr: 8, allowResettable: false },
      platform: { pcrs: { 4: [hash('boot'), hash('boot 2')], 7: [hash('secure boot')] }, unmeasuredBoot: false },
      attesters: {
        trust: ['pinned', 'ak-certificate'],
        roots: ['-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
        allow: { ek: [hash('ek')], ak: [], instance: [{ vmId: '1' }], cvm: [{ measurement: hash('cvm'), vmpl: 0 }] },
        anyFromRoots: false,
      },
    },
    createdAtMs,
    updatedAtMs: createdAtMs + 1,
  };
}

export function policy(content: string): PolicyRecord {
  const bytes = Buffer.from(content);
  return { sha256: hash(content), sha384: 'ab'.repeat(48), content: bytes, createdAtMs: NOW };
}

export function link(parent: string, content: string, dates: Partial<PolicyLink> = {}): PolicyLink {
  return { deployment: parent, sha256: hash(content), origin: 'registered', createdAtMs: NOW, ...dates };
}

export function key(name: string, members: Partial<KeyRecord> = {}): KeyRecord {
  return { name, kty: 'oct', sizeBits: 256, deployments: ['llm'], state: 'enabled', createdAtMs: NOW, ...members };
}

export function version(parent: string, sequence: number, members: Partial<KeyVersionRecord> = {}): KeyVersionRecord {
  return {
    key: parent,
    version: hash(`${parent}/${String(sequence)}`).slice(0, 32),
    sequence,
    state: 'enabled',
    kek: 'kek-1',
    wrappedDek: Buffer.from(`dek ${String(sequence)}`),
    ciphertext: Buffer.from(`ciphertext ${String(sequence)}`),
    createdAtMs: NOW,
    ...members,
  };
}

export function enrolment(
  deployment: string,
  ek: EkEndorsement = { spkiSha256: hash('ek'), certificates: [Buffer.from('ek')] },
): AkEnrolment {
  return { deployment, akName: `000b${hash(deployment)}`, ek };
}

export function attester(name: string, members: Partial<AttesterRecord> = {}): AttesterRecord {
  return {
    spkiSha256: hash(name),
    akName: `000b${hash(`name of ${name}`)}`,
    publicArea: Buffer.from(`public area of ${name}`),
    name,
    deployments: ['llm'],
    createdAtMs: NOW,
    ...members,
  };
}

export function token(name: string, members: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: hash(name).slice(0, 16),
    name,
    role: 'admin',
    hash: hash(`hash of ${name}`),
    createdAtMs: NOW,
    ...members,
  };
}

/** A nonce issued at a time; `seed` makes it another one. */
export function nonce(seed: string, issuedAtMs: number = NOW): Buffer {
  const bytes = sha256(Buffer.from(seed));
  bytes.writeUIntBE(issuedAtMs, 0, 6);
  return bytes;
}

/** A release commit at the store's present state. */
export async function commitFor(
  store: Store,
  seed: string,
  members: Partial<ReleaseCommit> = {},
): Promise<ReleaseCommit> {
  const { generation, epoch } = await store.read((view) => view.state());
  const issuedAtMs = members.nonceIssuedAtMs ?? NOW;
  return {
    generation,
    epoch,
    nonce: nonce(seed, issuedAtMs),
    nonceIssuedAtMs: issuedAtMs,
    nonceExpiresAtMs: Number.MAX_SAFE_INTEGER,
    entry: { deployment: 'llm', key: 'weights', release_id: seed },
    detail: '{"met":true}',
    ...members,
  };
}

/** The entries of the store, the oldest first, parsed. */
export async function entriesOf(store: Store): Promise<readonly Record<string, Json>[]> {
  const entries = await store.read((view) => view.entries({ limit: 1000 }));
  return entries.map((each) => ({ index: each.index, ...(JSON.parse(each.entry) as Record<string, Json>) })).reverse();
}
