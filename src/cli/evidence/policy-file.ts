import type { AcceptedPolicy, Deployment } from '../../policy/deployment.js';
import { parseDeployment } from '../../policy/deployment-document.js';
import { parseReleasePolicy } from '../../policy/parse-release-policy.js';
import type { ReleasePolicy } from '../../policy/release-policy.js';
import { accept, type Result } from '../../reason/reason.js';
import type { CliContext } from '../context.js';
import { MAX_DOCUMENT_BYTES, parseYaml, withNamedFiles } from '../deployment-file.js';

/** What `--policy` demands: all of a deployment, or the conditions of a release policy over the claims. */
export type EvidencePolicy =
  | { readonly kind: 'deployment'; readonly deployment: Deployment; readonly accepted: readonly AcceptedPolicy[] }
  | { readonly kind: 'release'; readonly policy: ReleasePolicy };

/**
 * Reads a deployment document (YAML or JSON; files that it names are read too) or a release policy alone (the same); `-`: stdin. What
 * has `kind` or `apiVersion` is a deployment. request.malformed where it is neither; UsageError where a file cannot be read.
 */
export async function readEvidencePolicy(context: CliContext, file: string): Promise<Result<EvidencePolicy>> {
  const read = await context.read(file, MAX_DOCUMENT_BYTES);
  if (!read.ok) return read;
  const document = parseYaml(read.value, file);
  if (!document.ok) return document;
  if (!isDeployment(document.value)) {
    const policy = parseReleasePolicy(document.value);
    return policy.ok ? accept({ kind: 'release', policy: policy.value }) : policy;
  }
  const wire = withNamedFiles(context, file, document.value);
  if (!wire.ok) return wire;
  const parsed = parseDeployment(wire.value);
  if (!parsed.ok) return parsed;
  return accept({ kind: 'deployment', deployment: parsed.value.deployment, accepted: parsed.value.policies });
}

function isDeployment(document: unknown): boolean {
  if (typeof document !== 'object' || document === null) return false;
  return Object.hasOwn(document, 'kind') || Object.hasOwn(document, 'apiVersion');
}
