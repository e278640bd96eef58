import { randomBytes } from 'node:crypto';
import { SimulatedTpm } from '../../simulator/vtpm.js';
import type { Attester, PlatformEvidence } from '../../workload/attester.js';
import type { ConfidentialMachine, RestartChange } from './confidential-machine.js';
import { genuine, type Impostor, sendRequest, type Target } from './impostors.js';

/** Bit DEBUG of the guest policy in an SEV-SNP report. */
const DEBUG = 1n << 19n;
/** A firmware of 2023, with flaws that are known. */
const OLD_TCB = { bootloader: 3, tee: 0, snp: 8, microcode: 115 };

/** The eight of the demo, each like the right machine but for one thing. Those that are started anew are certified anew by their makers. */
export function confidentialImpostors(target: Target, machine: ConfidentialMachine): readonly Impostor[] {
  const restarted = (change: RestartChange) => async () =>
    sendRequest(target, await genuine(target, await machine.restart(change)));
  const changed = (change: (beside: PlatformEvidence) => PlatformEvidence | Promise<PlatformEvidence>) => async () =>
    sendRequest(target, await genuine(target, withOther(await machine.restart({}), change)));
  return [
    {
      who: 'a machine without a GPU',
      reason: 'gpu.count',
      attempt: changed(({ hcl }) => (hcl === undefined ? {} : { hcl })),
    },
    {
      who: 'a machine that shows its one GPU twice, where somebody else counts them',
      reason: 'gpu.duplicate',
      attempt: changed((beside) => ({ ...beside, gpus: [...(beside.gpus ?? []), ...(beside.gpus ?? [])] })),
    },
    {
      who: 'a machine whose GPU has answered another nonce: it may be anywhere',
      reason: 'gpu.nonce',
      attempt: changed(async (beside) => {
        const elsewhere = await machine.attester.besideQuote(randomBytes(32));
        return { ...beside, ...(elsewhere.gpus === undefined ? {} : { gpus: elsewhere.gpus }) };
      }),
    },
    {
      who: 'a machine whose GPU is in the mode for developers, which its measurements show',
      reason: 'gpu.measurement',
      attempt: restarted({ gpu: { confidentialComputing: 'devtools' } }),
    },
    {
      who: 'a machine whose GPU has confidential computing off',
      reason: 'gpu.debug',
      attempt: restarted({ gpu: { confidentialComputing: 'off' } }),
    },
    {
      who: 'a VM that its host may debug',
      reason: 'snp.debug',
      attempt: restarted({ snp: { policy: machine.fields.policy | DEBUG } }),
    },
    {
      who: 'a processor with old firmware, for which AMD has certified it truly',
      reason: 'policy.claims',
      attempt: restarted({ snp: { reportedTcb: OLD_TCB, launchTcb: OLD_TCB } }),
    },
    {
      who: 'a TPM beside the VM, of which the processor says nothing',
      reason: 'evidence.unbound',
      attempt: async () => {
        const namedAk = await new SimulatedTpm().createAk({ scheme: 'rsassa' });
        return restarted({ namedAk })();
      },
    },
  ];
}

/** The same machine with other evidence beside its quote; the quote covers what is sent. */
function withOther(
  machine: Attester,
  change: (beside: PlatformEvidence) => PlatformEvidence | Promise<PlatformEvidence>,
): Attester {
  return {
    describe: () => machine.describe(),
    evidence: (extraData, pcrs) => machine.evidence(extraData, pcrs),
    besideQuote: async (base) => change((await machine.besideQuote?.(base)) ?? {}),
  };
}
