import { toHex } from '../../bytes/hex.js';
import { sha256 } from '../../crypto/digest.js';
import { expectedPcr } from '../../policy/policy-hash.js';

export const DEPLOYMENT = 'llm-inference';
export const KEY = 'weights';
export const POLICY_PCR = 8;

/** What firmware and boot loader measure on the demo's machine before the policy. */
export const BOOT: readonly (readonly [pcr: number, what: string])[] = [
  [4, 'boot loader and kernel'],
  [7, 'secure boot state'],
];

/** The runtime policy, as a file. */
export const POLICY = `${JSON.stringify(
  {
    containers: [{ image: 'registry.example/llm-server@sha256:' + 'c0ffee'.padEnd(64, '0'), command: ['/serve'] }],
    allowExec: false,
  },
  null,
  2,
)}\n`;

/** What is extended for one of BOOT. */
export function bootDigest(what: string): Buffer {
  return sha256(Buffer.from(`portcullis demo: ${what}`));
}

/** What its PCR holds then, hex. */
export function bootPcr(what: string): string {
  return expectedPcr('sha256', toHex(bootDigest(what)));
}

/** `platform.pcrs` of the deployment. */
export function bootReference(): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(BOOT.map(([pcr, what]) => [String(pcr), [bootPcr(what)]]));
}
