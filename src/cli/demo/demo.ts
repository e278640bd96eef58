/** The demo: the main job of the product from end to end, over HTTP, with a genuine quote, a receipt and five impostors. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { sha256 } from '../../crypto/digest.js';
import { expectedPcr, policyHash } from '../../policy/policy-hash.js';
import { BOOT, bootDigest, bootPcr, bootReference, DEPLOYMENT, KEY, POLICY, POLICY_PCR } from './deployment.js';
import { draw } from './draw.js';
import { impostors, type Target } from './impostors.js';
import { type Machine, short, simulatedMachine, swtpmMachine } from './machine.js';
import { showReceipt } from './receipt.js';
import { onScene, type Scene } from './scene.js';
import type { Stage } from './stage.js';
import { tryImpostors } from './try-impostors.js';

export interface DemoOptions {
  readonly tpm: 'simulator' | 'swtpm';
}

/**
 * Plays the demo; true when the key came out to the right workload, the same both times and with a receipt, and to none of
 * the five impostors, and when the receipt altered by one character is refused.
 */
export async function playDemo(stage: Stage, options: DemoOptions): Promise<boolean> {
  stage.title('Portcullis demo: one key, one workload that may have it, five impostors that may not');
  return onScene(stage, async (scene) => {
    stage.step('A machine with a TPM boots; its firmware measures what it starts');
    const machine = await (options.tpm === 'swtpm' ? swtpmMachine() : simulatedMachine());
    scene.closeLater(() => machine.close());
    stage.fact('TPM', machine.name);
    for (const [pcr, what] of BOOT) {
      await machine.extend(pcr, bootDigest(what));
      stage.fact(`PCR ${String(pcr)}`, `${short(bootPcr(what))}  ${what}`);
    }

    stage.step(
      'The owner registers a deployment: the policy that must run, the boot chain below it, the TPM key to believe',
    );
    await register(stage, scene, machine);

    stage.step('The enforcer on the machine measures the policy, and the workload asks for the key');
    await machine.extend(POLICY_PCR, sha256(Buffer.from(POLICY)));
    const { transport, logKey } = scene;
    const target: Target = { transport, deployment: DEPLOYMENT, key: KEY };
    const drawn = await draw(stage, target, machine.attester, logKey);

    stage.step('The workload keeps the receipt: anyone who has the log key can check it, offline');
    const receipt = showReceipt(stage, drawn.released, logKey);

    stage.step('Five impostors ask for it too');
    const otherPolicy = sha256(Buffer.from(POLICY.replace('"allowExec": false', '"allowExec": true')));
    const refused = await tryImpostors(stage, impostors(target, machine, POLICY_PCR, otherPolicy));

    stage.say('');
    const passed = drawn.same && receipt && refused;
    if (passed)
      stage.good('The key came out to the workload that proved what it runs, and to nobody else; the log says so.');
    else stage.bad('The demo did not go as it must.');
    return passed;
  });
}

/** The administrator's part, by the very commands that one would type. */
async function register(stage: Stage, { folder, portcullis }: Scene, machine: Machine): Promise<void> {
  await writeFile(join(folder, 'policy.json'), POLICY);
  await writeFile(join(folder, 'ak.pub'), machine.akPublic);
  const document = {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name: DEPLOYMENT },
    measurement: { bank: 'sha256', pcr: POLICY_PCR },
    policies: [{ file: 'policy.json' }],
    platform: { pcrs: bootReference() },
    attesters: { trust: ['pinned'] },
  };
  await writeFile(join(folder, 'llm-inference.yaml'), stringify(document));
  await portcullis('deployment', 'apply', 'llm-inference.yaml');
  const { sha256: hash } = policyHash(Buffer.from(POLICY));
  stage.fact('policy hash', short(hash));
  stage.fact(`expected PCR ${String(POLICY_PCR)}`, short(expectedPcr('sha256', hash)));
  await portcullis('attester', 'trust', 'ak.pub', '--deployment', DEPLOYMENT, '--name', 'demo-machine');
  await portcullis('key', 'create', KEY, '--type', 'oct', '--deployment', DEPLOYMENT);
  stage.say('The broker made a 256-bit key that nobody has seen, and keeps it wrapped.');
}
