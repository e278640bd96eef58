import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toHex } from '../../bytes/hex.js';
import { digest, sha256Hex } from '../../crypto/digest.js';
import { policyHash } from '../../policy/policy-hash.js';
import { bootReference, DEPLOYMENT, KEY, POLICY, POLICY_PCR } from './deployment.js';
import { confidentialImpostors } from './confidential-impostors.js';
import { type ConfidentialMachine, startConfidentialMachine } from './confidential-machine.js';
import { draw } from './draw.js';
import type { Target } from './impostors.js';
import { short } from './machine.js';
import { showReceipt } from './receipt.js';
import { onScene, type Scene } from './scene.js';
import type { Stage } from './stage.js';
import { tryImpostors } from './try-impostors.js';

/** Of the paravisor and firmware that start the VM: what a cloud would publish. */
const MEASUREMENT = toHex(digest('sha384', Buffer.from('portcullis demo: paravisor and firmware')));
/** Security version of the SEV-SNP firmware below which AMD says that secrets may leak, on this generation. */
const TCB_FLOOR = 24;

/**
 * Plays the demo with a confidential VM and a GPU; true when the key came out to the right machine, the same both times and with a
 * receipt, to none of the wrong ones, and when the receipt altered by one character is refused.
 */
export async function playConfidentialDemo(stage: Stage): Promise<boolean> {
  stage.title('Portcullis demo: one key, a confidential VM with a GPU that may have it, eight machines that may not');
  return onScene(stage, async (scene) => {
    stage.step('The owner registers a deployment: what must run, from the processor and the GPU up');
    await register(stage, scene);

    stage.step('A confidential VM starts, simulated from the processor up');
    const { transport, logKey } = scene;
    const target: Target = { transport, deployment: DEPLOYMENT, key: KEY };
    const machine = await startConfidentialMachine(target);
    introduce(stage, machine);

    stage.step('The workload asks for the key: one nonce for processor, TPM and GPU');
    const drawn = await draw(stage, target, machine.attester, logKey);
    stage.say('The GPU has signed the nonce of the request, the TPM its quote over what the GPU signed, and');
    stage.say('the processor a report that names the key of the TPM: none of the three is of use beside another.');

    stage.step('The workload keeps the receipt: anyone who has the log key can check it, offline');
    const receipt = showReceipt(stage, drawn.released, logKey);

    stage.step('Eight machines ask for it too, each with one thing that is not as it must be');
    const refused = await tryImpostors(stage, confidentialImpostors(target, machine));

    stage.say('');
    const passed = drawn.same && receipt && refused;
    if (passed) stage.good('The key came out to the machine that proved what it is, and to no other; the log says so.');
    else stage.bad('The demo did not go as it must.');
    return passed;
  });
}

/** The administrator's part, by the very commands that one would type. */
async function register(stage: Stage, { folder, portcullis }: Scene): Promise<void> {
  await writeFile(join(folder, 'policy.json'), POLICY);
  const document = {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name: DEPLOYMENT },
    measurement: { bank: 'sha256', pcr: POLICY_PCR },
    policies: [{ file: 'policy.json' }],
    platform: { pcrs: bootReference(), gpus: { count: 1 } },
    attesters: { trust: ['cvm-report', 'simulator'], allow: { cvm: [{ measurement: MEASUREMENT }] } },
    release: {
      version: '1.0.0',
      allOf: [
        {
          authority: 'portcullis',
          allOf: [{ claim: 'snp.tcb.reported.snp', greaterOrEquals: TCB_FLOOR }],
        },
      ],
    },
  };
  await writeFile(join(folder, 'llm-inference.yaml'), stringify(document));
  await portcullis('deployment', 'apply', 'llm-inference.yaml');
  stage.fact('policy hash', short(policyHash(Buffer.from(POLICY)).sha256));
  stage.fact('launch measurement', short(MEASUREMENT));
  stage.fact('firmware', `security version ${String(TCB_FLOOR)} at least`);
  stage.fact('GPUs', '1');
  await portcullis('key', 'create', KEY, '--type', 'oct', '--deployment', DEPLOYMENT);
  stage.say('The broker made a 256-bit key that nobody has seen, and keeps it wrapped.');
}

function introduce(stage: Stage, { attester, chipId, gpuPdi }: ConfidentialMachine): void {
  stage.fact('processor', `AMD Milan, chip ${short(chipId)}`);
  stage.fact('GPU', `NVIDIA H100, ${gpuPdi}`);
  stage.fact('TPM', `virtual, AK ${short(sha256Hex(attester.ak.spki))}`);
  stage.say('The paravisor has put the AK into the report of the processor, which nobody else can sign.');
  stage.say('Makers, keys and reports are simulated, in the genuine layouts; this broker was told to believe them.');
}
