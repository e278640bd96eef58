import { admitDeployment } from '../policy/admit.js';
import { parseDeployment } from '../policy/deployment-document.js';
import type { Deployment } from '../policy/deployment.js';
import { isClaimName } from '../evidence/claim-names.js';
import { lintDeployment } from '../policy/lint.js';
import { accept, type Result } from '../reason/reason.js';
import type { Profile } from './compose/ports.js';
import type { CliContext } from './context.js';
import { readDeployment } from './deployment-file.js';

/** What is to be said about a deployment document, offline: the refusal that a broker of the profile would give, or warnings. */
export async function lintFile(
  context: CliContext,
  file: string,
  profile: Profile,
): Promise<Result<{ readonly name: string; readonly deployment: Deployment; readonly warnings: readonly string[] }>> {
  const document = await readDeployment(context, file);
  if (!document.ok) return document;
  const parsed = parseDeployment(document.value);
  if (!parsed.ok) return parsed;
  const { deployment, policies } = parsed.value;
  const admitted = admitDeployment(deployment, profile);
  if (!admitted.ok) return admitted;
  const linted = lintDeployment({ deployment, policies, profile, nowMs: context.parts.now(), isClaim: isClaimName });
  return accept({ name: deployment.name, deployment, warnings: [...admitted.value.warnings, ...linted] });
}
