/** What a person can do about a refusal, by reason code; nothing where the details of the broker say it all. */
const ADVICE: Readonly<Record<string, string>> = {
  'auth.missing': 'set PORTCULLIS_TOKEN, or give --token-file F',
  'auth.invalid': 'use a token that `portcullis token list` shows as active',
  'auth.role': 'use a token with a larger role: `portcullis token create NAME --role operator`',
  'deployment.unknown': '`portcullis deployment list` shows those that exist',
  'deployment.frozen': '`portcullis deployment unfreeze NAME` lifts it',
  'key.unknown': '`portcullis key list` shows the keys and the deployments that may draw them',
  'key.disabled': '`portcullis key enable NAME` lifts it',
  'key.frozen': '`portcullis key unfreeze NAME` lifts it',
  'challenge.expired': 'compare the clocks with `portcullis doctor`, then try again',
  'ak.untrusted':
    'pin the AK: `portcullis workload ak --out ak.pub`, then `portcullis attester trust ak.pub --deployment NAME`',
  'ek.chain':
    'put the root of the maker of the TPM into attesters.roots; what stands between may go there too, or be given with --ek-certificate',
  'enrolment.expired': 'enrol again; if it comes again, compare the clocks with `portcullis doctor`',
  'enrolment.secret': 'enrol again, with the same broker from beginning to end',
  'attester.conflict': 'name the EK that the AK was enrolled by with --ek, or use another AK',
  'policy.hash': 'compare with `portcullis policy hash FILE` and `portcullis deployment show NAME`',
  'request.rate_limited': 'wait a moment, then try again',
  'request.too_large': 'send less, or raise limits.body in the configuration of the broker',
  'route.unknown': 'compare the versions of broker and command, and the --url',
  'checkpoint.origin':
    'use the log key that `portcullis init` of this very broker printed, or the one that replaced it',
  'checkpoint.signature': 'make sure of the log key; if it is right, keep the checkpoint: somebody has forged it',
  'receipt.mismatch': 'ask again; if it comes again, the broker answers with receipts of other releases',
  'log.unwitnessed': 'ask again; the log of the broker names the witnesses that are missing',
  'store.unavailable': 'look at disk space and the log of the broker; `portcullis doctor --data-dir D` helps',
  'store.integrity': 'look at the log of the broker: a row of its store was changed from outside',
  internal: 'look for the request id in the log of the broker',
};

/** Advice for a refusal; none where its detail names a command already. */
export function adviceFor(reason: string, detail: string): string | undefined {
  return Object.hasOwn(ADVICE, reason) && !detail.includes('portcullis ') ? ADVICE[reason] : undefined;
}
