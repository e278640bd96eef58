import type { AttesterView } from '../../release/views.js';
import type { Block, Table } from '../outcome.js';

/** An answer of a broker, which may be older: any member may be missing. */
export type ShownAttester = Partial<AttesterView>;

/** Attesters as people see them in a list. */
export function attesterTable(items: readonly ShownAttester[]): Table {
  return {
    head: ['name', 'trust', 'state', 'deployments', 'last seen', 'SPKI hash'],
    rows: items.map((view) => [
      view.name ?? '',
      view.trust ?? '',
      view.state ?? '',
      deploymentsOf(view),
      view.last_seen ?? '',
      view.ak_spki_sha256 ?? '',
    ]),
  };
}

/** One attester, member by member; what is not known is left out. */
export function describeAttester(view: ShownAttester): readonly Block[] {
  const { ek, instance = {}, pem = '' } = view;
  const rows: readonly (readonly [string, string | number | undefined])[] = [
    ['name', view.name],
    ['trust', view.trust],
    ['state', view.state],
    ['revoked by', view.revoked_by],
    ['in quarantine since', view.quarantined_at],
    ['trusted for', view.deployments?.join(', ')],
    ['enrolled for', view.enrolled_for?.join(', ')],
    ['AK Name', view.ak_name],
    ['SPKI hash', view.ak_spki_sha256],
    ['created', view.created_at],
    ['EK', ek?.spki_sha256],
    ['EK certificate', ek?.certificate_sha256],
    ['serial number', ek?.serial],
    ['issued by', ek?.issuer],
    ['TPM', ek && [ek.manufacturer, ek.model, ek.version].filter((each) => each !== undefined).join(' ')],
    ...Object.entries(instance).map(([name, value]) => [`instance ${name}`, value] as const),
    ['first seen', view.first_seen],
    ['last seen', view.last_seen],
    ['last seen for', view.last_deployment],
    ['resets', view.reset_count],
    ['restarts', view.restart_count],
    ['clock (ms)', view.clock_ms],
    ['firmware', view.firmware_version],
    ['clock went back', view.regressions],
  ];
  const known = rows.filter(([, value]) => value !== undefined && value !== '');
  const vouchers = (view.vouched_by ?? []).map((identity) => `  ${identity}`);
  return [
    { rows: known.map(([name, value]) => [name, String(value)]) },
    ...(vouchers.length === 0 ? [] : ['', 'Vouched for by, each of which can be revoked:', ...vouchers]),
    ...(pem === '' ? [] : ['', pem.trimEnd()]),
  ];
}

/** Where it is trusted or enrolled; of an AK that is neither, in brackets, the deployment that it last asked for. */
function deploymentsOf({
  deployments = [],
  enrolled_for: enrolled = [],
  last_deployment: last,
}: ShownAttester): string {
  const known = [...new Set([...deployments, ...enrolled])];
  return known.length === 0 && last !== undefined ? `(${last})` : known.join(', ');
}
