import { setAttesterQuarantined, trustAttester } from './attesters.js';
import type { Broker } from './broker.js';
import type { BrokerContext } from './context.js';
import { applyDeployment, listDeployments, setDeploymentFrozen, showDeployment } from './deployments.js';
import { enrol } from './enrolment.js';
import { activateEnrolment } from './enrolment-activation.js';
import { listEntries } from './entries.js';
import { listAttesters, showAttester } from './inventory.js';
import { issueChallenge } from './issue-challenge.js';
import { rotateKek } from './kek-rotation.js';
import { deleteKey, recoverKey, setKeyEnabled } from './key-lifecycle.js';
import { createKey, listKeys, rotateKey, setKeyDeployments, setKeyFrozen, showKey } from './keys.js';
import { listPolicies, registerPolicy, retirePolicy, showPolicy } from './policies.js';
import { UnwitnessedError } from './receipt.js';
import { release } from './release.js';
import { replayRelease } from './replay.js';
import { listRevocations, revokeAttester, revokeIdentity } from './revocation.js';
import { simulateMachine } from './simulate-machine.js';
import { authenticate, createToken, listTokens, revokeToken } from './tokens.js';

/** The use cases over one context, as the faces call them. */
export function createBroker(context: BrokerContext): Broker {
  const { simulator } = context;
  return {
    issueChallenge: (request) => issueChallenge(context, request),
    release: (request) => release(context, request),
    authenticate: (token) => authenticate(context, token),
    describe: async () => {
      const { generation } = await context.store.read((view) => view.state());
      const { broker, profile, version, logKey } = context;
      return {
        broker,
        profile,
        version,
        log_key: logKey,
        state_generation: String(generation),
        kek: context.keks.activeId(),
      };
    },
    ready: async () => {
      await context.store.probe();
      const trouble = context.witnesses?.trouble?.();
      if (trouble !== undefined) throw new UnwitnessedError(trouble);
    },

    applyDeployment: (by, document, options) => applyDeployment(context, by, document, options),
    listDeployments: (page) => listDeployments(context, page),
    showDeployment: (name) => showDeployment(context, name),
    setDeploymentFrozen: (by, name, frozen) => setDeploymentFrozen(context, by, name, frozen),

    registerPolicy: (by, request) => registerPolicy(context, by, request),
    listPolicies: (page) => listPolicies(context, page),
    showPolicy: (sha256) => showPolicy(context, sha256),
    retirePolicy: (by, sha256, deployment) => retirePolicy(context, by, sha256, deployment),

    createKey: (by, request) => createKey(context, by, request),
    listKeys: (page) => listKeys(context, page),
    showKey: (name, version) => showKey(context, name, version),
    rotateKey: (by, name) => rotateKey(context, by, name),
    setKeyEnabled: (by, name, enabled, version) => setKeyEnabled(context, by, name, enabled, version),
    setKeyFrozen: (by, name, frozen) => setKeyFrozen(context, by, name, frozen),
    deleteKey: (by, name, version, recoveryDays) => deleteKey(context, by, name, version, recoveryDays),
    recoverKey: (by, name, version) => recoverKey(context, by, name, version),
    setKeyDeployments: (by, name, deployments) => setKeyDeployments(context, by, name, deployments),

    enrol: (request) => enrol(context, request),
    activateEnrolment: (request) => activateEnrolment(context, request),
    trustAttester: (by, request) => trustAttester(context, by, request),
    listAttesters: (page) => listAttesters(context, page),
    showAttester: (id) => showAttester(context, id),
    setAttesterQuarantined: (by, id, quarantined) => setAttesterQuarantined(context, by, id, quarantined),
    revokeAttester: (by, id) => revokeAttester(context, by, id),
    revokeIdentity: (by, identity) => revokeIdentity(context, by, identity),
    listRevocations: (page) => listRevocations(context, page),

    createToken: (by, request) => createToken(context, by, request),
    listTokens: (page) => listTokens(context, page),
    revokeToken: (by, id) => revokeToken(context, by, id),

    rotateKek: (by) => rotateKek(context, by),
    listEntries: (query) => listEntries(context, query),
    replayRelease: (releaseId, options) => replayRelease(context, releaseId, options),
    ...(simulator === undefined ? {} : { simulateMachine: (request) => simulateMachine(context, simulator, request) }),
  };
}
