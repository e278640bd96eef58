/** The log of a real broker that was taken through every administrative use case, with releases and denials between them. */
import { History, type Finding } from '../../src/audit/history.js';
import { toHex } from '../../src/bytes/hex.js';
import { digest } from '../../src/crypto/digest.js';
import { purgeDeleted } from '../../src/release/key-lifecycle.js';
import { recordStart } from '../../src/release/record-start.js';
import { type Members, parseEntry } from '../../src/translog/entry.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { driveEndorsements } from './driven-endorsements.js';
import { ADMIN, bootedMachine, POLICY, released, type TestBroker, valueOf } from '../helpers/test-broker.js';

/** Deployments of one key: more than one entry can name. */
const MANY = 150;
const DAYS_MS = 86_400_000;

/** Every entry of the log of a broker, in order. */
export async function entriesOf({ context }: TestBroker): Promise<readonly Members[]> {
  const texts: string[] = [];
  for (;;) {
    const page = await context.store.logEntries(texts.length, 256);
    if (page.length === 0) return texts.map(parseEntry);
    texts.push(...page);
  }
}

export function findingsIn(entries: readonly Members[], history: History = new History()): readonly Finding[] {
  return entries.flatMap((entry, index) => history.apply(index, entry));
}

/** Drives a broker through all that can be done to it. */
export async function drive(broker: TestBroker): Promise<void> {
  const { broker: does, context } = broker;
  const machine = await bootedMachine();
  const llm = { deployment: 'llm', key: 'weights' };
  await recordStart(context);

  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  await broker.key('weights', 'llm');
  released(await broker.release(machine, llm));

  await dates(broker, machine);
  await otherBank(broker);
  await simulators(broker);
  await manyDeployments(broker);

  const second = valueOf(await does.rotateKey(ADMIN, 'weights')).versions[0]?.version ?? '';
  released(await broker.release(machine, llm));
  for (const frozen of [true, false]) {
    valueOf(await does.setKeyFrozen(ADMIN, 'weights', frozen));
    valueOf(await does.setDeploymentFrozen(ADMIN, 'llm', frozen));
    if (frozen) await broker.release(machine, llm);
  }
  valueOf(await does.setKeyEnabled(ADMIN, 'weights', false, second));
  await broker.release(machine, llm);
  valueOf(await does.setKeyEnabled(ADMIN, 'weights', true, second));
  released(await broker.release(machine, { ...llm, version: second }));

  await deletions(broker);
  await driveEndorsements(broker);
  const token = valueOf(
    await does.createToken(ADMIN, { name: 'ci', role: 'operator', expires_at: '2099-01-01T00:00:00Z' }),
  );
  valueOf(await does.revokeToken(ADMIN, token.id));
  valueOf(await does.rotateKek(ADMIN));
  released(await broker.release(machine, llm));

  const other = await bootedMachine();
  await broker.release(other, llm);
  await broker.pin(other, 'llm');
  released(await broker.release(other, llm));
  valueOf(await does.revokeAttester(ADMIN, toHex(other.ak.name)));
  valueOf(await does.revokeAttester(ADMIN, 'ab'.repeat(32)));
  await broker.release(other, llm);
  await context.denials.summarise();
  released(await broker.release(machine, llm));
}

/** Policies that come and go, by document and beside it. */
async function dates(broker: TestBroker, machine: SimulatorAttester): Promise<void> {
  const content = POLICY.toString('base64url');
  const later = '2099-01-01T01:00:00+01:00';
  const apply = (policies: unknown) => broker.deploy('dated', { policies });
  await apply([{ content, notBefore: '2020-01-01T00:00:00Z' }, { sha256: 'cd'.repeat(32) }]);
  await broker.pin(machine, 'dated');
  await broker.key('dated-key', 'dated');
  released(await broker.release(machine, { deployment: 'dated', key: 'dated-key' }));
  await apply([{ content, notAfter: later }]);
  const { sha256 = '' } = valueOf(await broker.broker.showDeployment('dated')).policies[0] ?? {};
  released(await broker.release(machine, { deployment: 'dated', key: 'dated-key' }));
  valueOf(await broker.broker.retirePolicy(ADMIN, sha256));
  await broker.release(machine, { deployment: 'dated', key: 'dated-key' });
  valueOf(await broker.broker.registerPolicy(ADMIN, { deployment: 'dated', content, not_after: later }));
  valueOf(await broker.broker.registerPolicy(ADMIN, { deployment: 'llm', sha256: 'ef'.repeat(32) }));
  released(await broker.release(machine, { deployment: 'dated', key: 'dated-key' }));
  await broker.deploy('llm');
}

async function otherBank(broker: TestBroker): Promise<void> {
  await broker.deploy('big', { measurement: { bank: 'sha384', pcr: 8 }, platform: { unmeasuredBoot: true } });
  await broker.key('bigkey', 'big');
  const { tpm, ak } = await bootedMachine();
  tpm.extend('sha384', 8, digest('sha384', POLICY));
  const machine = new SimulatorAttester(tpm, ak);
  await broker.pin(machine, 'big');
  released(await broker.release(machine, { deployment: 'big', key: 'bigkey' }));
}

/** A machine that only the simulator CA vouches for. */
async function simulators(broker: TestBroker): Promise<void> {
  await broker.deploy('toy', { attesters: { trust: ['simulator'] } });
  await broker.key('toykey', 'toy');
  const machine = await bootedMachine();
  const ak = machine.ak.tpm2bPublic.toString('base64url');
  const simulated = await broker.broker.simulateMachine?.({ deployment: 'toy', ak });
  if (simulated === undefined) throw new Error('the broker simulates no machines');
  const { ak_certificates: akCertificates } = valueOf(simulated);
  const { request } = await broker.request(machine, { deployment: 'toy', key: 'toykey' });
  const tpm = { ...request.evidence.tpm, ak_certificates: akCertificates };
  released(await broker.broker.release({ ...request, evidence: { tpm } }));
}

async function manyDeployments(broker: TestBroker): Promise<void> {
  const names = Array.from({ length: MANY }, (_, at) => `d-${'x'.repeat(57)}-${String(at).padStart(3, '0')}`);
  for (const name of names) await broker.deploy(name, { policies: [{ sha256: 'cd'.repeat(32) }] });
  await broker.key('popular', ...names);
  valueOf(await broker.broker.setKeyDeployments(ADMIN, 'popular', ['llm', ...names.slice(100)]));
  valueOf(await broker.broker.setKeyDeployments(ADMIN, 'popular', names));
}

/** Keys and versions that are deleted, recovered and destroyed; a freeze outlives its key. */
async function deletions(broker: TestBroker): Promise<void> {
  const { broker: does, context } = broker;
  const version = await broker.key('brief', 'llm');
  valueOf(await does.rotateKey(ADMIN, 'brief'));
  valueOf(await does.deleteKey(ADMIN, 'brief', version, 1));
  valueOf(await does.recoverKey(ADMIN, 'brief', version));
  valueOf(await does.deleteKey(ADMIN, 'brief', version, 1));
  await purgeDeleted(context, context.clock() + 2 * DAYS_MS);
  valueOf(await does.setKeyFrozen(ADMIN, 'brief', true));
  valueOf(await does.deleteKey(ADMIN, 'brief', undefined, 1));
  await purgeDeleted(context, context.clock() + 2 * DAYS_MS);
  await broker.key('brief', 'llm');
  valueOf(await does.setKeyFrozen(ADMIN, 'brief', false));
}
