import { accept, reject } from '../../src/reason/reason.js';
import type { Broker, Principal } from '../../src/release/broker.js';
import type { Role } from '../../src/release/records.js';
import type {
  ActivationView,
  AppliedView,
  AttesterView,
  ChallengeView,
  DeploymentView,
  EnrolmentView,
  EntryView,
  KeyView,
  PolicyView,
  ReleaseView,
  ReplayView,
  TokenView,
} from '../../src/release/views.js';

/** The bearer token of each role, for the broker below. */
export const TOKENS: Readonly<Record<Role, string>> = {
  admin: 'pc_00000000000000a1_admin',
  operator: 'pc_00000000000000a2_operator',
  auditor: 'pc_00000000000000a3_auditor',
};

const AT = '2026-11-01T00:00:00.000Z';
export const HASH = 'ab'.repeat(32);

export const challenge: ChallengeView = {
  nonce: 'n'.repeat(43),
  broker: 'b1',
  deployment: 'llm',
  key: 'weights',
  version: 'latest',
  expires_at: AT,
  pcrs: { sha256: [0, 8] },
};
export const released: ReleaseView = {
  release_id: 'r1',
  key: { name: 'weights', version: '0'.repeat(32), kty: 'oct' },
  jwe: 'a.b.c.d.e',
  receipt: { entry: '{}', index: 0, proof: [], checkpoint: 'log\n' },
};
const deployment: DeploymentView = {
  name: 'llm',
  frozen: false,
  document: {},
  policies: [],
  created_at: AT,
  updated_at: AT,
};
const applied: AppliedView = { deployment, created: true, dry_run: false, changes: [], warnings: [] };
const policy: PolicyView = { sha256: HASH, created_at: AT, deployments: [] };
const key: KeyView = {
  name: 'weights',
  kty: 'oct',
  size: 256,
  deployments: ['llm'],
  state: 'enabled',
  frozen: false,
  created_at: AT,
  versions: [],
};
const attester: AttesterView = {
  name: 'node-1',
  ak_name: '000b',
  ak_spki_sha256: HASH,
  pem: 'PEM',
  trust: 'ek-certificate',
  state: 'trusted',
  deployments: ['llm'],
  created_at: AT,
  enrolled_for: ['llm'],
  ek: {
    spki_sha256: HASH,
    certificate_sha256: HASH,
    serial: '01',
    issuer: 'CN=Maker CA',
    manufacturer: 'id:53544D20',
    model: 'ST33',
    version: 'id:00010102',
  },
  instance: { projectId: 'project' },
  vouched_by: [`ek/${HASH}`],
  first_seen: AT,
  last_seen: AT,
  last_deployment: 'llm',
  reset_count: 1,
  restart_count: 2,
  clock_ms: '3',
  firmware_version: '4',
  regressions: 0,
};
export const enrolment: EnrolmentView = {
  enrolment: 'AAAA',
  credential_blob: 'AAAA',
  encrypted_secret: 'AAAA',
  expires_at: AT,
};
export const activation: ActivationView = {
  attester: { ak_name: '000b', ak_spki_sha256: HASH, trust: 'ek-certificate', state: 'trusted' },
};
const token: TokenView = { id: '00000000000000a4', name: 'ci', role: 'auditor', state: 'active', created_at: AT };
const entry: EntryView = { index: 0, type: 'release', entry: {} };

const replay: ReplayView = {
  release_id: '0'.repeat(32),
  index: 0,
  same: true,
  appraised_at: AT,
  decision: { met: true, conditions: [] },
  claims: {},
  differences: [],
  log: {},
};

/** One call that reached a use case. */
export interface SeenCall {
  readonly method: keyof Broker;
  readonly given: readonly unknown[];
}

export interface FakeBroker extends Broker {
  readonly calls: SeenCall[];
}

/** A broker in memory: it accepts everything, knows three tokens, and remembers how it was called. Methods may be replaced. */
export function fakeBroker(replaced: Partial<Broker> = {}): FakeBroker {
  const calls: SeenCall[] = [];
  const principals = new Map<string, Principal>(
    (Object.keys(TOKENS) as Role[]).map((role) => [TOKENS[role], { tokenId: role, name: role, role }]),
  );
  const broker: Broker = {
    issueChallenge: async () => accept(challenge),
    release: async () => accept(released),
    authenticate: async (text) => {
      const principal = principals.get(text);
      return principal === undefined ? reject('auth.invalid', 'unknown token') : accept(principal);
    },
    describe: async () => ({
      broker: 'b1',
      profile: 'development',
      version: '0.1.0',
      log_key: 'log',
      state_generation: '1',
      kek: 'k1',
    }),
    ready: async () => undefined,
    applyDeployment: async (_by, _document, { dryRun = false }) => accept({ ...applied, dry_run: dryRun }),
    listDeployments: async () => accept({ items: [deployment] }),
    showDeployment: async () => accept(deployment),
    setDeploymentFrozen: async (_by, _name, frozen) => accept({ ...deployment, frozen }),
    registerPolicy: async () => accept(policy),
    listPolicies: async () => accept({ items: [policy] }),
    showPolicy: async () => accept(policy),
    retirePolicy: async () => accept(policy),
    createKey: async () => accept(key),
    listKeys: async () => accept({ items: [key] }),
    showKey: async () => accept(key),
    rotateKey: async () => accept(key),
    setKeyEnabled: async () => accept(key),
    setKeyFrozen: async () => accept(key),
    deleteKey: async () => accept(key),
    recoverKey: async () => accept(key),
    setKeyDeployments: async () => accept(key),
    enrol: async () => accept(enrolment),
    activateEnrolment: async () => accept({ created: true, answer: activation }),
    trustAttester: async () => accept(attester),
    listAttesters: async () => accept({ items: [attester] }),
    showAttester: async () => accept(attester),
    setAttesterQuarantined: async () => accept(attester),
    revokeAttester: async () => accept(attester),
    revokeIdentity: async () => accept({ identity: HASH, kind: 'ak' }),
    listRevocations: async () => accept({ items: [{ identity: HASH, kind: 'ak' }] }),
    createToken: async () => accept({ ...token, token: 'pc_00000000000000a4_secret' }),
    listTokens: async () => accept({ items: [token] }),
    revokeToken: async () => accept(token),
    rotateKek: async () => accept({ kek: 'k2', rewrapped: 3 }),
    listEntries: async () => accept({ items: [entry] }),
    replayRelease: async () => accept(replay),
    simulateMachine: async () =>
      accept({ ak_certificates: [], pcrs: {}, policy: { source: 'tpm', bank: 'sha256', pcr: 8, digest: HASH } }),
    ...replaced,
  };
  const seen = Object.fromEntries(
    Object.entries(broker).map(([method, use]) => [
      method,
      (...given: unknown[]) => {
        calls.push({ method: method as keyof Broker, given });
        return (use as (...given: unknown[]) => unknown)(...given);
      },
    ]),
  );
  return { ...(seen as unknown as Broker), calls };
}

/** A release request that the schema accepts. */
export const releaseRequest = {
  nonce: 'n'.repeat(43),
  deployment: 'llm',
  key: 'weights',
  version: 'latest',
  recipient: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', alg: 'ECDH-ES+A256KW' },
  evidence: {
    tpm: { quoted: 'AA', signature: 'AA', ak: 'AA', pcrs: { sha256: { '0': 'ab'.repeat(32), '8': 'cd'.repeat(32) } } },
  },
};
