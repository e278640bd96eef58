import { pinnedLogKey } from '../../workload/log-trust.js';
import type { ReleasedKey } from '../../workload/released-key.js';
import { verifyReceiptOffline } from '../receipt-verify.js';
import { short } from './machine.js';
import type { Stage } from './stage.js';

/** Shows a receipt being verified, and being refused with one character altered; true when both went so. */
export function showReceipt(stage: Stage, { answer }: ReleasedKey, vkey: string): boolean {
  const logKey = pinnedLogKey(vkey);
  const verify = (changed: object) => {
    return verifyReceiptOffline({ file: Buffer.from(JSON.stringify(changed), 'utf8'), logKey });
  };
  stage.command('portcullis receipt verify answer.json --log-key log.vkey');
  const genuine = verify(answer);
  if (!genuine.ok) {
    stage.bad(`The receipt is refused: ${genuine.reason}: ${genuine.detail}`);
    return false;
  }
  const { index, size, log, policy_sha256: policy, profile } = genuine.value.proved;
  stage.fact('log', log);
  stage.fact(
    'entry',
    `index ${String(index)} of ${String(size)}, under the policy ${short(policy)}, profile ${profile}`,
  );
  stage.good('The receipt is valid: the log, under the key that init printed, records this very release.');

  const receipt = answer['receipt'] as { readonly entry: string };
  const altered = verify({ ...answer, receipt: { ...receipt, entry: nextTo(receipt.entry) } });
  if (altered.ok) {
    stage.bad('The receipt altered by one character is accepted.');
    return false;
  }
  stage.good('refused: the same receipt, altered by one character');
  stage.say(`  ${altered.reason}: ${altered.detail}`);
  return true;
}

/** The entry with the last digit of its policy hash changed: still one in form, and about another policy. */
function nextTo(entry: string): string {
  return entry.replace(/("policy_sha256":"[0-9a-f]{63})(.)/, (_all, start: string, digit: string) => {
    return start + (digit === '0' ? '1' : '0');
  });
}
