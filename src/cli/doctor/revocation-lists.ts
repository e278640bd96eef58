import type { Config } from '../../config/config.js';
import { openRevocationLists } from '../compose/revocation-lists.js';
import { UsageError } from '../outcome.js';
import { fail, ok, warn, type Finding } from './finding.js';

const CHECK = 'revocation lists';
const DAY_MS = 86_400_000;
const SOON_DAYS = 2;

/** The CRLs that the configuration names, one finding; none where it names none. */
export async function revocationListFindings(
  endorsement: Config['endorsement'],
  nowMs: number,
): Promise<readonly Finding[]> {
  try {
    const directory = await openRevocationLists(endorsement);
    return directory === undefined ? [] : [ageFinding(directory.files, endorsement, nowMs)];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [fail(CHECK, error.message, 'a broker does not start with it: replace the file, or take it away')];
  }
}

type Files = ReadonlyMap<string, readonly { readonly nextUpdateMs: number }[]>;

function ageFinding(files: Files, { crls = '', requireCrls }: Config['endorsement'], nowMs: number): Finding {
  const lists = [...files].flatMap(([file, held]) => held.map(({ nextUpdateMs }) => ({ file, nextUpdateMs })));
  const [oldest] = lists.sort((a, b) => a.nextUpdateMs - b.nextUpdateMs);
  if (oldest === undefined) {
    const advice = 'put the CRLs of the TPM makers there, as *.crl or *.pem';
    return requireCrls ? fail(CHECK, `${crls} has none`, advice) : warn(CHECK, `${crls} has none`, advice);
  }
  const until = new Date(oldest.nextUpdateMs).toISOString();
  const advice = 'fetch a newer one from its issuer; a running broker finds it within a minute';
  if (oldest.nextUpdateMs < nowMs) {
    return fail(CHECK, `${oldest.file} was current until ${until}; what it would have to clear is refused`, advice);
  }
  if (oldest.nextUpdateMs < nowMs + SOON_DAYS * DAY_MS) {
    return warn(CHECK, `${oldest.file} is current until ${until} only`, advice);
  }
  return ok(CHECK, `${String(lists.length)} in ${crls}, all current until ${until}`);
}
