/** The demo: the main job of the product from end to end, over HTTP, with a genuine quote, a receipt and five impostors. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { toHex } from '../../bytes/hex.js';
import { sha256, sha256Hex } from '../../crypto/digest.js';
import type { EvaluatedNode } from '../../policy/decision.js';
import { expectedPcr, policyHash } from '../../policy/policy-hash.js';
import type { ReleaseDeniedError } from '../../workload/errors.js';
import { ReleaseClient } from '../../workload/release-client.js';
import type { ReleasedKey } from '../../workload/released-key.js';
import { httpTransport } from '../../workload/transport.js';
import { makeBroker, PROGRAM, startBroker } from './broker-process.js';
import { impostors, refusal, type Target } from './impostors.js';
import { type Machine, short, simulatedMachine, swtpmMachine } from './machine.js';
import { showReceipt } from './receipt.js';
import type { Stage } from './stage.js';

const runProgram = promisify(execFile);
const DEPLOYMENT = 'llm-inference';
const KEY = 'weights';
const POLICY_PCR = 8;
/** What firmware and boot loader measure on the demo's machine before the policy. */
const BOOT: readonly (readonly [pcr: number, what: string])[] = [
  [4, 'boot loader and kernel'],
  [7, 'secure boot state'],
];
const POLICY = `${JSON.stringify(
  {
    containers: [{ image: 'registry.example/llm-server@sha256:' + 'c0ffee'.padEnd(64, '0'), command: ['/serve'] }],
    allowExec: false,
  },
  null,
  2,
)}\n`;

export interface DemoOptions {
  readonly tpm: 'simulator' | 'swtpm';
}

/**
 * Plays the demo; true when the key came out to the right workload, the same both times and with a receipt, and to none of
 * the five impostors, and when the receipt altered by one character is refused.
 */
export async function playDemo(stage: Stage, options: DemoOptions): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-demo-'));
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    stage.title('Portcullis demo: one key, one workload that may have it, five impostors that may not');
    stage.step('A broker is made and starts, with a data directory and a log of its own');
    const dataDir = join(folder, 'data');
    stage.command(`portcullis init --data-dir ${dataDir} --profile development`);
    const { adminToken, logKey } = await makeBroker(dataDir);
    stage.fact('log key', logKey);
    stage.command(`portcullis serve --data-dir ${dataDir}`);
    const broker = await startBroker(dataDir);
    closing.unshift(() => broker.close());
    stage.say(`listening on ${broker.url}`);

    stage.step('A machine with a TPM boots; its firmware measures what it starts');
    const machine = await (options.tpm === 'swtpm' ? swtpmMachine() : simulatedMachine());
    closing.unshift(() => machine.close());
    stage.fact('TPM', machine.name);
    for (const [pcr, what] of BOOT) {
      await machine.extend(pcr, bootDigest(what));
      stage.fact(`PCR ${String(pcr)}`, `${short(bootPcr(what))}  ${what}`);
    }

    stage.step(
      'The owner registers a deployment: the policy that must run, the boot chain below it, the TPM key to believe',
    );
    await register(stage, { folder, url: broker.url, adminToken, machine });

    stage.step('The enforcer on the machine measures the policy, and the workload asks for the key');
    await machine.extend(POLICY_PCR, sha256(Buffer.from(POLICY)));
    const transport = httpTransport({ url: broker.url });
    closing.unshift(() => transport.close());
    const target: Target = { transport, deployment: DEPLOYMENT, key: KEY };
    const drawn = await draw(stage, target, machine, logKey);

    stage.step('The workload keeps the receipt: anyone who has the log key can check it, offline');
    const receipt = showReceipt(stage, drawn.released, logKey);

    stage.step('Five impostors ask for it too');
    const refused = await tryImpostors(stage, target, machine);

    stage.say('');
    const passed = drawn.same && receipt && refused;
    if (passed)
      stage.good('The key came out to the workload that proved what it runs, and to nobody else; the log says so.');
    else stage.bad('The demo did not go as it must.');
    return passed;
  } finally {
    for (const close of closing) await close();
  }
}

/** The administrator's part, by the very commands that one would type. */
async function register(
  stage: Stage,
  {
    folder,
    url,
    adminToken,
    machine,
  }: { readonly folder: string; readonly url: string; readonly adminToken: string; readonly machine: Machine },
): Promise<void> {
  await writeFile(join(folder, 'policy.json'), POLICY);
  await writeFile(join(folder, 'ak.pub'), machine.akPublic);
  const reference = Object.fromEntries(BOOT.map(([pcr, what]) => [String(pcr), [bootPcr(what)]]));
  const document = {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name: DEPLOYMENT },
    measurement: { bank: 'sha256', pcr: POLICY_PCR },
    policies: [{ file: 'policy.json' }],
    platform: { pcrs: reference },
    attesters: { trust: ['pinned'] },
  };
  await writeFile(join(folder, 'llm-inference.yaml'), stringify(document));
  const env = { ...process.env, PORTCULLIS_URL: url, PORTCULLIS_TOKEN: adminToken };
  const portcullis = async (...argv: string[]): Promise<void> => {
    stage.command(`portcullis ${argv.join(' ')}`);
    await runProgram(process.execPath, [PROGRAM, ...argv], { env, cwd: folder });
  };
  await portcullis('deployment', 'apply', 'llm-inference.yaml');
  const { sha256: hash } = policyHash(Buffer.from(POLICY));
  stage.fact('policy hash', short(hash));
  stage.fact(`expected PCR ${String(POLICY_PCR)}`, short(expectedPcr('sha256', hash)));
  await portcullis('attester', 'trust', 'ak.pub', '--deployment', DEPLOYMENT, '--name', 'demo-machine');
  await portcullis('key', 'create', KEY, '--type', 'oct', '--deployment', DEPLOYMENT);
  stage.say('The broker made a 256-bit key that nobody has seen, and keeps it wrapped.');
}

/** The workload's part, twice: with two nonces, two quotes and two recipient keys it is the same key that comes out. */
async function draw(
  stage: Stage,
  { transport, deployment, key }: Target,
  machine: Machine,
  logKey: string,
): Promise<{ readonly same: boolean; readonly released: ReleasedKey }> {
  const client = new ReleaseClient({ transport, attester: machine.attester, logKey });
  const first = await client.release({ deployment, key });
  const second = await client.release({ deployment, key, recipient: 'X25519' });
  const same = first.key.k !== undefined && first.key.k === second.key.k && first.releaseId !== second.releaseId;
  stage.fact('released', `${first.kid} (${String(first.key.kty)})`);
  stage.fact('release', first.releaseId);
  stage.fact('SHA-256 of the key', short(sha256Hex(Buffer.from(first.key.k ?? '', 'base64url'))));
  if (same)
    stage.good('The key came out, encrypted to a key that the quote vouches for; a second draw gave the same key.');
  else stage.bad('Two draws gave two keys.');
  first.jwk.fill(0);
  second.jwk.fill(0);
  return { same, released: first };
}

async function tryImpostors(stage: Stage, target: Target, machine: Machine): Promise<boolean> {
  const otherPolicy = sha256(Buffer.from(POLICY.replace('"allowExec": false', '"allowExec": true')));
  let allRefused = true;
  for (const impostor of impostors(target, machine, POLICY_PCR, otherPolicy)) {
    const denial = await refusal(impostor);
    const asExpected = denial?.reason === impostor.reason;
    allRefused &&= asExpected;
    if (asExpected) stage.good(`refused: ${impostor.who}`);
    else stage.bad(`${impostor.who}: expected ${impostor.reason}`);
    stage.say(denial === undefined ? '  the key came out' : `  ${denial.reason}: ${denial.detail}`);
    for (const line of unmet(denial)) stage.say(`    ${line}`);
  }
  return allRefused;
}

/** The conditions of a denial's decision that were not met, with what was expected and what was found. */
function unmet(denial: ReleaseDeniedError | undefined): readonly string[] {
  const conditions = (denial?.decision?.['conditions'] ?? []) as readonly EvaluatedNode[];
  return conditions.flatMap((condition) => {
    if (condition.met || !('claim' in condition)) return [];
    const show = (value: unknown): string =>
      [value]
        .flat()
        .map((each) => short(String(each)))
        .join(' or ');
    return [`${condition.claim}: expected ${show(condition.expected)}, found ${show(condition.found)}`];
  });
}

function bootDigest(what: string): Buffer {
  return sha256(Buffer.from(`portcullis demo: ${what}`));
}

function bootPcr(what: string): string {
  return expectedPcr('sha256', toHex(bootDigest(what)));
}
