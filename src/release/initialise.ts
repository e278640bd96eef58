import { toBase64url } from '../bytes/base64url.js';
import { toHex } from '../bytes/hex.js';
import { deriveKey } from '../crypto/derive.js';
import type { Random } from '../crypto/random.js';
import type { KekProvider } from '../keys/kek.js';
import { openSecret, sealSecret, type SecretIdentity } from '../keys/secret.js';
import { CheckpointSigner } from '../translog/checkpoint.js';
import { composeEntry } from '../translog/entry.js';
import { logPublicKey, verifierKey } from '../translog/log-key.js';
import type { BrokerRecord, Profile } from './records.js';
import type { LogIdentity, Store } from './store.js';
import { mintToken } from './tokens.js';
import type { Pseudonyms } from '../translog/names.js';

const SECRET_BYTES = 32;

/** The epoch that row MACs and token hashes are derived for; nonces alone have epochs that change. */
export const FIXED_EPOCH = 1;

/** A broker that has just been made. */
export interface InitialisedBroker {
  readonly broker: string;
  readonly profile: Profile;
  /** The vkey string of the log. */
  readonly logKey: string;
  /** Shown once; only its hash is stored. */
  readonly adminToken: string;
}

/** What the broker's own secrets are sealed for: the sealing authenticates the whole identity, so that no member of it can be changed in the store. */
export function secretIdentity(
  record: Omit<BrokerRecord, 'kek' | 'wrappedRootSecret' | 'wrappedLogKey'>,
  purpose: SecretIdentity['purpose'],
): SecretIdentity {
  const { broker, profile, createdAtMs, logOrigin } = record;
  return {
    broker,
    profile,
    purpose,
    bound: { createdAtMs, logOrigin, logPublicKey: toBase64url(record.logPublicKey) },
  };
}

/** The root secret of a broker; the caller zeroises it. Throws KekError where the KEK, the broker id or the profile is another one. */
export function openRootSecret(keks: KekProvider, record: BrokerRecord): Promise<Buffer> {
  return openSecret(keks, secretIdentity(record, 'root-secret'), {
    kek: record.kek,
    wrapped: record.wrappedRootSecret,
  });
}

function logIdentity(signer: CheckpointSigner, pseudonyms: Pseudonyms | undefined): LogIdentity {
  return { signer, compose: (type, body, at) => composeEntry(type, body, at, pseudonyms) };
}

/** Opens the log key and makes the log's identity with it. Throws KekError as openRootSecret does. */
export async function openLogIdentity(
  keks: KekProvider,
  record: BrokerRecord,
  pseudonyms?: Pseudonyms,
): Promise<LogIdentity> {
  const seed = await openSecret(keks, secretIdentity(record, 'log-key'), {
    kek: record.kek,
    wrapped: record.wrappedLogKey,
  });
  try {
    return logIdentity(new CheckpointSigner(record.logOrigin, seed), pseudonyms);
  } finally {
    seed.fill(0);
  }
}

/**
 * Fills a fresh store: the broker's identity and profile, its root secret and log key under the KEK, and the first admin
 * token. `authenticate` gives the store the key of its row MACs before the first row is written.
 */
export async function initialiseStore(
  store: Store & { authenticate(rowMacKey: Buffer, log: LogIdentity): void },
  keks: KekProvider,
  ports: { readonly clock: () => number; readonly random: Random },
  profile: Profile,
): Promise<InitialisedBroker> {
  const broker = toHex(ports.random(16));
  const logOrigin = `${broker}/${toHex(ports.random(8))}`;
  const rootSecret = ports.random(SECRET_BYTES);
  const logSeed = ports.random(SECRET_BYTES);
  const tokenKey = deriveKey(rootSecret, 'token', FIXED_EPOCH);
  try {
    const publicKey = logPublicKey(logSeed);
    const identity = { broker, profile, createdAtMs: ports.clock(), logOrigin, logPublicKey: publicKey };
    const root = await sealSecret(keks, secretIdentity(identity, 'root-secret'), rootSecret);
    const log = await sealSecret(keks, secretIdentity(identity, 'log-key'), logSeed);
    const { token, record } = mintToken({ ...ports, tokenKey }, { name: 'init', role: 'admin' });
    store.authenticate(
      deriveKey(rootSecret, 'row-mac', FIXED_EPOCH),
      logIdentity(new CheckpointSigner(logOrigin, logSeed), undefined),
    );
    await store.change(async (change) => {
      await change.append('broker.initialised', { broker, profile, log_origin: logOrigin });
      await change.setBroker({
        ...identity,
        kek: root.kek,
        wrappedRootSecret: root.wrapped,
        wrappedLogKey: log.wrapped,
      });
      await change.append('token.created', { actor: 'init', token: record.id, role: record.role });
      await change.tokens.put(record);
    });
    return { broker, profile, logKey: verifierKey(logOrigin, publicKey), adminToken: token };
  } finally {
    rootSecret.fill(0);
    logSeed.fill(0);
    tokenKey.fill(0);
  }
}
