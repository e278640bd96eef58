import { toHex } from '../../bytes/hex.js';
import type { ClaimDescription } from '../../claims/claim-description.js';
import { claimTree, type ClaimTree } from '../../claims/claims.js';
import type { TcbGrade } from '../../endorsement/intel/grade.js';
import type { QeIdentity } from '../../endorsement/intel/qe-identity.js';
import type { TcbInfo } from '../../endorsement/intel/tcb-info.js';
import { TD_ATTRIBUTES } from './constants.js';
import type { PckPlatform } from './pck.js';
import type { TdReportBody, TdxQuote } from './quote.js';
import { attributesOf } from './td-rules.js';

/** How a platform was graded, and by what. */
export interface GradedTcb {
  readonly grade: TcbGrade;
  readonly info: TcbInfo;
  readonly identity: QeIdentity;
}

/** The claims below `tdx` of a quote that has been verified, as TDX_CLAIMS describes them. */
export function tdxClaims(quote: TdxQuote, pck: PckPlatform, tcb: GradedTcb): ClaimTree {
  const { body } = quote;
  return claimTree({
    version: quote.version,
    body_type: quote.bodyType,
    user_data: toHex(quote.userData),
    tee_tcb_svn: svns(body.teeTcbSvn),
    tee_tcb_svn_2: body.teeTcbSvn2 === undefined ? undefined : svns(body.teeTcbSvn2),
    mrseam: toHex(body.mrSeam),
    mrsignerseam: toHex(body.mrSignerSeam),
    seam_attributes: toHex(body.seamAttributes),
    attributes: attributeClaims(body),
    xfam: toHex(body.xfam),
    mrtd: toHex(body.mrTd),
    mrconfigid: toHex(body.mrConfigId),
    mrowner: toHex(body.mrOwner),
    mrownerconfig: toHex(body.mrOwnerConfig),
    rtmrs: numbered(body.rtmrs.map(toHex)),
    report_data: toHex(body.reportData),
    mrservicetd: body.mrServiceTd === undefined ? undefined : toHex(body.mrServiceTd),
    qe: qeClaims(quote),
    pck: pckClaims(pck),
    tcb: tcbClaims(tcb),
  });
}

function attributeClaims(body: TdReportBody): ClaimTree {
  const set = attributesOf(body);
  const flags = TD_ATTRIBUTES.map(({ name }) => [name, set.has(name)] as const);
  return claimTree({ raw: toHex(body.tdAttributes), ...Object.fromEntries(flags) });
}

function qeClaims({ qeReport }: TdxQuote): ClaimTree {
  return claimTree({
    mrenclave: toHex(qeReport.mrEnclave),
    mrsigner: toHex(qeReport.mrSigner),
    isvprodid: qeReport.isvProdId,
    isvsvn: qeReport.isvSvn,
    cpusvn: toHex(qeReport.cpuSvn),
    attributes: toHex(qeReport.attributes),
    miscselect: toHex(qeReport.miscSelect),
  });
}

function pckClaims(pck: PckPlatform): ClaimTree {
  return claimTree({
    ppid: toHex(pck.ppid),
    fmspc: toHex(pck.fmspc),
    pceid: toHex(pck.pceId),
    pcesvn: pck.pceSvn,
    cpusvn: toHex(pck.cpuSvn),
    components: numbered(pck.components),
    sgx_type: pck.sgxType,
    platform_instance_id: pck.platformInstanceId === undefined ? undefined : toHex(pck.platformInstanceId),
    dynamic_platform: pck.dynamicPlatform,
    cached_keys: pck.cachedKeys,
    smt_enabled: pck.smtEnabled,
  });
}

function tcbClaims({ grade, info, identity }: GradedTcb): ClaimTree {
  return claimTree({
    status: grade.status,
    platform_status: grade.platform.status,
    module_status: grade.module.status,
    qe_status: grade.qe.status,
    platform_date: grade.platform.date,
    module_date: grade.module.date,
    qe_date: grade.qe.date,
    date: [grade.platform.date, grade.module.date, grade.qe.date].sort()[0],
    advisory_ids: grade.advisoryIds.join(','),
    evaluation_data_number: info.evaluationDataNumber,
    qe_evaluation_data_number: identity.evaluationDataNumber,
    issued: instant(info.issuedAtMs),
    next_update: instant(info.nextUpdateMs),
    qe_issued: instant(identity.issuedAtMs),
    qe_next_update: instant(identity.nextUpdateMs),
  });
}

function svns(bytes: Buffer): ClaimTree {
  return numbered([...bytes]);
}

function numbered(values: readonly (string | number)[]): ClaimTree {
  return claimTree(Object.fromEntries(values.map((value, index) => [String(index), value])));
}

function instant(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

const HEX_48 = '48 bytes, hex';

/** Every claim below `tdx`. Those of TDX 1.5, and some of the PCK certificate, are not there every time. */
export const TDX_CLAIMS: readonly ClaimDescription[] = [
  ...described('number', {
    version: 'Version of the quote: 4 or 5.',
  }),
  ...described('string', {
    body_type:
      '`TD1.0` or `TD1.5`: which TD report is in the quote. In version 5 these are body types 2 and 3; others are refused with `tdx.version`.',
    user_data: '20 bytes of the header that the quoting enclave chose, hex; the first 16 name the platform.',
  }),
  ...described('number', {
    'tee_tcb_svn.<n>':
      'SVN `<n>` (0 to 15) of the TCB that the trust domain was launched with: 0 SVN and 1 major version of the TDX module, 2 SEAM loader.',
    'tee_tcb_svn_2.<n>': 'The same of what runs now; TDX 1.5 only.',
  }),
  ...described('string', {
    mrseam: `Measurement of the TDX module, ${HEX_48}.`,
    mrsignerseam: `Signer of the TDX module, ${HEX_48}; zero for the modules of Intel.`,
    seam_attributes: 'Attributes of the TDX module, 8 bytes, hex; zero for those of production.',
    'attributes.raw': 'TDATTRIBUTES, 8 bytes in their order in the report, hex.',
  }),
  ...described('boolean', {
    'attributes.debug': 'Bit 0: the host may read and change the trust domain.',
    'attributes.hgs_plus_profiling': 'Bit 4: the host may profile it (HGS+); refused.',
    'attributes.performance_profiling': 'Bit 5: the host may profile it (performance monitoring); refused.',
    'attributes.pmt_profiling': 'Bit 6: the host may profile it (platform monitoring technology); refused.',
    'attributes.icssd': 'Bit 16: ICSSD.',
    'attributes.lass': 'Bit 27: linear address space separation is on.',
    'attributes.sept_ve_disable':
      'Bit 28: pages that the host takes away stop the trust domain instead of raising #VE in it; Linux wants it.',
    'attributes.migratable': 'Bit 29: the trust domain may be migrated by a service TD.',
    'attributes.pks': 'Bit 30: supervisor protection keys are allowed.',
    'attributes.kl': 'Bit 31: Key Locker is allowed.',
    'attributes.tpa': 'Bit 62: the trust domain is a provisioning agent.',
    'attributes.perfmon': 'Bit 63: the trust domain may use performance monitoring.',
  }),
  ...described('string', {
    xfam: 'Extended CPU features that the trust domain may use, 8 bytes in their order in the report, hex.',
    mrtd: `Measurement of the initial contents of the trust domain, ${HEX_48}.`,
    mrconfigid: `What the host set as configuration id at launch, ${HEX_48}; a policy hash may be here.`,
    mrowner: `Owner id, set by the host at launch, ${HEX_48}.`,
    mrownerconfig: `Owner's configuration id, set by the host at launch, ${HEX_48}.`,
    'rtmrs.<n>': `Runtime measurement register 0 to 3, ${HEX_48}.`,
    report_data: 'REPORTDATA, 64 bytes, hex: the binding.',
    mrservicetd: `Hash over the service TDs that are bound, ${HEX_48}; zero where there is none; TDX 1.5 only.`,
    'qe.mrenclave': 'Measurement of the quoting enclave, 32 bytes, hex.',
    'qe.mrsigner': 'Signer of the quoting enclave, 32 bytes, hex.',
  }),
  ...described('number', {
    'qe.isvprodid': 'Product id of the quoting enclave.',
    'qe.isvsvn': 'SVN of the quoting enclave.',
  }),
  ...described('string', {
    'qe.cpusvn': 'CPUSVN of the platform while the quoting enclave made its report, 16 bytes, hex.',
    'qe.attributes': 'Attributes of the quoting enclave, 16 bytes, hex.',
    'qe.miscselect': 'MISCSELECT of the quoting enclave, 4 bytes in their order in the report, hex.',
    'pck.ppid': 'The processor package (PPID), 16 bytes, hex.',
    'pck.fmspc': 'Family, model, stepping, platform type and SKU, 6 bytes, hex.',
    'pck.pceid': 'Id of the provisioning certification enclave, 2 bytes, hex.',
    'pck.cpusvn': 'CPUSVN that the PCK was derived for, 16 bytes, hex.',
  }),
  ...described('number', {
    'pck.pcesvn': 'SVN of the provisioning certification enclave.',
    'pck.components.<n>': 'SVN `<n>` (0 to 15) of the SGX TCB that the PCK was derived for.',
  }),
  ...described('string', {
    'pck.sgx_type': '`standard`, `scalable` or `scalable-with-integrity`: how memory is protected.',
    'pck.platform_instance_id': 'The platform of several packages, 16 bytes, hex.',
  }),
  ...described('boolean', {
    'pck.dynamic_platform': 'Whether packages may be added to the platform.',
    'pck.cached_keys': 'Whether Intel keeps keys of the platform.',
    'pck.smt_enabled': 'Whether simultaneous multithreading is on.',
  }),
  ...described('string', {
    'tcb.status':
      'Of the whole: the worst of all levels, those of the launch and those of now, or, as Intel converges them, `OutOfDateConfigurationNeeded` where one is `OutOfDate` and another needs configuration.',
    'tcb.platform_status': 'How Intel grades the platform.',
    'tcb.module_status': 'How Intel grades the TDX module; one without versions is graded with the platform.',
    'tcb.qe_status': 'How Intel grades the quoting enclave.',
    'tcb.date': 'The oldest of the next three.',
    'tcb.platform_date': 'Advisories up to this moment are accounted for in the level of the platform, RFC 3339.',
    'tcb.module_date': 'The same for the TDX module.',
    'tcb.qe_date': 'The same for the quoting enclave.',
    'tcb.advisory_ids':
      "Intel's advisories that the machine is open to, sorted, with commas between; empty where there are none.",
  }),
  ...described('number', {
    'tcb.evaluation_data_number': 'How recent the TCB info is by which was graded; the higher, the stricter.',
    'tcb.qe_evaluation_data_number': 'The same of the QE identity.',
  }),
  ...described('string', {
    'tcb.issued': 'When Intel issued the TCB info, RFC 3339.',
    'tcb.next_update': 'Until when it is good, RFC 3339.',
    'tcb.qe_issued': 'When Intel issued the QE identity, RFC 3339.',
    'tcb.qe_next_update': 'Until when it is good, RFC 3339.',
  }),
];

function described(
  type: ClaimDescription['type'],
  meanings: Readonly<Record<string, string>>,
): readonly ClaimDescription[] {
  return Object.entries(meanings).map(([name, meaning]) => ({ name: `tdx.${name}`, type, meaning }));
}
