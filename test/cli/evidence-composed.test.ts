/** All kinds of evidence of one machine together: simulated, since real machines would have to answer one challenge. */
import { describe, expect, test } from '@jest/globals';
import { quoteBinding } from '../../src/challenge/binding.js';
import { claimAt } from '../../src/claims/claims.js';
import { NO_EVIDENCE } from '../../src/cli/evidence/evidence-file.js';
import {
  type EvidenceConditions,
  NO_CONDITIONS,
  verifyEvidenceOffline,
  type Verdict,
} from '../../src/cli/evidence/evidence-verify.js';
import { PINNED_ROOTS } from '../../src/endorsement/hardware-roots.js';
import type { Evidence } from '../../src/evidence/evidence.js';
import { parseDeployment } from '../../src/policy/deployment-document.js';
import { parseReleasePolicy } from '../../src/policy/parse-release-policy.js';
import { eccAk, pcrValue, rsaAk } from '../evidence/tpm/software-quote.js';
import {
  AK,
  BASE,
  believing,
  device,
  hclMachine,
  machine,
  POLICY_SHA256,
  quoted,
  reportData,
  snpEvidence,
  spkiOf,
  tdxEvidence,
} from './evidence-simulated.js';

const TRUST = believing();
const OTHER = Buffer.alloc(32, 0x55);
const gpus = [device(3), device(4)];
const binding = (devices = gpus) =>
  quoteBinding(
    BASE,
    devices.map(({ report }) => report),
  );

function verify(evidence: Partial<Evidence>, conditions: Partial<EvidenceConditions> = {}): Verdict {
  return verifyEvidenceOffline({ ...NO_EVIDENCE, ...evidence }, TRUST, { ...NO_CONDITIONS, ...conditions });
}

function told(evidence: Partial<Evidence>, conditions?: Partial<EvidenceConditions>): string {
  const verdict = verify(evidence, conditions);
  return verdict.ok ? 'accepted' : verdict.reason;
}

describe('a machine whose evidence all answers one challenge', () => {
  test('with SEV-SNP, a TPM and a GPU is accepted', () => {
    const verdict = verify(machine());
    if (!verdict.ok) throw new Error(`${verdict.reason}: ${verdict.detail}`);
    expect(claimAt(verdict.value, 'gpu.count')).toBe(1);
    expect(claimAt(verdict.value, 'snp.report_data')).toBe(reportData().toString('hex'));
  });

  test('is accepted in each composition that there is', () => {
    expect(told({ ...snpEvidence(), tpm: quoted(BASE) })).toBe('accepted');
    expect(told({ ...tdxEvidence(), tpm: quoted(binding()), gpus })).toBe('accepted');
    expect(told({ ...tdxEvidence(reportData(BASE, null), 5), gpus })).toBe('accepted');
    expect(told({ ...snpEvidence(reportData(OTHER)) })).toBe('accepted');
    expect(told({ tpm: quoted(binding()), gpus })).toBe('accepted');
    expect(told(hclMachine(BASE))).toBe('accepted');
    expect(told({ ...hclMachine(binding()), gpus })).toBe('accepted');
    expect(told({ gpus })).toBe('accepted');
  });

  test('meets the conditions that are its own, and no others', () => {
    const right = { extraData: binding(), gpuNonce: BASE, reportData: reportData() };
    expect(told(machine(gpus), right)).toBe('accepted');
    expect(told(machine(gpus), { ...right, extraData: BASE })).toBe('quote.binding');
    expect(told(machine(gpus), { ...right, gpuNonce: OTHER })).toBe('gpu.nonce');
    expect(told(machine(gpus), { ...right, reportData: reportData(OTHER) })).toBe('evidence.unbound');
  });
});

describe('without a deployment no report vouches for an AK, since nobody says whose machine is believed', () => {
  const byRelease = (...allOf: readonly object[]) => {
    const parsed = parseReleasePolicy({ version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf }] }, '');
    if (!parsed.ok) throw new Error(parsed.detail);
    return { policy: { kind: 'release', policy: parsed.value } } as const;
  };
  const snpMachine = { ...snpEvidence(), tpm: quoted(BASE) };
  const machines: readonly (readonly [string, Partial<Evidence>])[] = [
    ['SEV-SNP', snpMachine],
    ['TDX', { ...tdxEvidence(), tpm: quoted(BASE) }],
    ['HCL', hclMachine(BASE)],
  ];

  test.each(machines)('neither one of %s', (_name, evidence) => {
    const verdict = verify(evidence);
    expect(verdict.ok && claimAt(verdict.value, 'tpm.ak.name')).toEqual(expect.any(String));
    expect(verdict.ok && claimAt(verdict.value, 'tpm.ak.trust')).toBeUndefined();
    expect(told(evidence, byRelease({ claim: 'tpm.ak.trust', equals: 'cvm-report' }))).toBe('policy.claims');
    expect(told(evidence, byRelease({ claim: 'tpm.ak.trust', exists: false }))).toBe('accepted');
  });

  test('and a release policy is judged by what runtime data says, beside what it says of the paravisor', () => {
    const secureBoot = { claim: 'hcl.secure_boot', equals: true };
    const shown = verify(hclMachine(BASE));
    expect(shown.ok && claimAt(shown.value, 'hcl.secure_boot')).toBe(true);
    expect(told(hclMachine(BASE), byRelease(secureBoot))).toBe('accepted');
    const measurement = shown.ok ? claimAt(shown.value, 'snp.measurement') : undefined;
    const paravisor = (equals: unknown) => byRelease(secureBoot, { claim: 'snp.measurement', equals });
    expect(told(hclMachine(BASE), paravisor(measurement))).toBe('accepted');
    expect(told(hclMachine(BASE), paravisor('00'.repeat(48)))).toBe('policy.claims');
  });
});

describe('spliced evidence is refused', () => {
  test('where a simulator stands behind it and is not believed', () => {
    const verdict = verifyEvidenceOffline(machine(), { ...TRUST, roots: PINNED_ROOTS }, NO_CONDITIONS);
    expect(verdict).toMatchObject({ ok: false, reason: 'snp.chain' });
  });

  test('where the report does not name the AK of the quote', () => {
    expect(told({ ...snpEvidence(), tpm: quoted(BASE, eccAk('P-256', 'sha256', 'another')) })).toBe('evidence.unbound');
    expect(told({ ...snpEvidence(reportData(BASE, null)), tpm: quoted(BASE) })).toBe('evidence.unbound');
    expect(told({ ...tdxEvidence(reportData(BASE, null)), tpm: quoted(BASE) })).toBe('evidence.unbound');
    expect(told({ ...hclMachine(BASE), tpm: quoted(BASE) })).toBe('hcl.ak_mismatch');
    // Without the AK that of the HCL report is tried: nobody can tell a quote of another machine from one that was changed.
    const { hcl, tpm } = hclMachine(BASE);
    const other = quoted(BASE, rsaAk());
    expect(told({ hcl, tpm: tpm && { ...tpm, ...other, ak: undefined } })).toBe('quote.signature');
    expect(told({ hcl, tpm: other })).toBe('hcl.ak_mismatch');
  });

  test('where the quote answers another challenge than the report or the devices', () => {
    expect(told({ ...snpEvidence(), tpm: quoted(OTHER) })).toBe('evidence.unbound');
    expect(told({ ...snpEvidence(reportData(OTHER)), tpm: quoted(binding()), gpus })).toBe('evidence.unbound');
    expect(told({ tpm: quoted(BASE), gpus })).toBe('evidence.unbound');
    expect(told({ ...hclMachine(BASE), gpus })).toBe('evidence.unbound');
  });

  test('where devices were left out, added, exchanged or put in another order', () => {
    const [first, second] = gpus as [(typeof gpus)[0], (typeof gpus)[0]];
    const tpm = quoted(binding());
    for (const others of [[first], [second, first], [first, device(5)], [first, second, device(5)]]) {
      expect(told({ ...snpEvidence(), tpm, gpus: others })).toBe('evidence.unbound');
    }
    expect(told({ ...snpEvidence(), tpm, gpus: [first, first] })).toBe('gpu.duplicate');
  });

  test('where devices answered different nonces', () => {
    const mixed = [device(3), device(4, OTHER)];
    expect(told({ gpus: mixed })).toBe('evidence.unbound');
    expect(told({ tpm: quoted(binding(mixed)), gpus: mixed })).toBe('evidence.unbound');
    expect(told({ gpus: mixed }, { gpuNonce: BASE })).toBe('gpu.nonce');
  });

  test('where reports of several machines were sent', () => {
    expect(told({ ...snpEvidence(), ...tdxEvidence() })).toBe('evidence.unbound');
  });

  test('where one piece was named by a condition, and the other is not of it', () => {
    const evidence = { ...snpEvidence(reportData(OTHER)), tpm: quoted(binding()), gpus };
    expect(told(evidence, { gpuNonce: BASE })).toBe('evidence.unbound');
    expect(told(evidence, { gpuNonce: BASE, extraData: binding() })).toBe('evidence.unbound');
    const all = { gpuNonce: BASE, extraData: binding(), reportData: reportData(OTHER) };
    expect(told(evidence, all)).toBe('accepted');
  });
});

describe('devices that should not be believed are refused', () => {
  test.each([
    ['in the mode for development', device(3, BASE, { confidentialComputing: 'devtools' }), 'gpu.measurement'],
    ['forged', device(3, BASE, { forged: true }), 'gpu.signature'],
    ['of another nonce than asked', device(3, OTHER), 'gpu.nonce'],
  ] as const)('one %s', (_name, one, reason) => {
    const said = told({ ...snpEvidence(), tpm: quoted(binding([one])), gpus: [one] }, { gpuNonce: BASE });
    expect(said).toBe(reason);
  });
});

describe('with a deployment, whatever a broker refuses is refused', () => {
  const ofQuote = { ...snpEvidence(), tpm: quoted(BASE) };
  const alone = snpEvidence(reportData(BASE, null));
  const known = (evidence: Partial<Evidence>, name: string) => {
    const verdict = verify(evidence);
    return verdict.ok ? String(claimAt(verdict.value, name)) : '';
  };
  const measurement = known(alone, 'snp.measurement');
  const pcr = (index: number) => [pcrValue('sha256', index)];

  const POLICIES = [{ sha256: POLICY_SHA256 }];

  function by(attesters: object, members: object = {}) {
    const document = {
      apiVersion: 'portcullis/v1',
      kind: 'Deployment',
      metadata: { name: 'llm' },
      measurement: { source: 'snp.host_data' },
      policies: POLICIES,
      attesters,
      ...members,
    };
    const parsed = parseDeployment(document);
    if (!parsed.ok) throw new Error(parsed.detail);
    const { deployment, policies: accepted } = parsed.value;
    return { policy: { kind: 'deployment', deployment, accepted } } as const;
  }
  const byReport = (rule: object = { measurement }, members: object = {}) =>
    by({ trust: ['cvm-report'], allow: { cvm: [rule] } }, members);

  test('but the machine that it is made for is not', () => {
    expect(told(alone, byReport())).toBe('accepted');
    expect(told(ofQuote, byReport())).toBe('accepted');
    expect(told({ ...alone, gpus }, byReport({ measurement }, { platform: { gpus: { count: 2 } } }))).toBe('accepted');
    const td = tdxEvidence(reportData(BASE, null));
    const rule = { measurement: known(td, 'tdx.mrtd') };
    expect(told(td, byReport(rule, { measurement: { source: 'tdx.mrconfigid' } }))).toBe('accepted');
  });

  test.each(['pinned', 'ak-certificate', 'ek-certificate'])(
    'a policy that the processor measures by %s: no broker takes such a deployment',
    (trust) => {
      for (const evidence of [alone, ofQuote]) {
        const verdict = verify(evidence, by({ trust: [trust] }));
        expect(verdict).toMatchObject({ ok: false, reason: 'deployment.unsupported' });
        expect(verdict).toHaveProperty('detail', expect.stringMatching(/^no broker takes the deployment: measurement/));
      }
    },
  );

  test('a policy that the processor measures on a machine that no rule is for', () => {
    for (const evidence of [alone, ofQuote]) {
      expect(told(evidence, by({ trust: ['simulator'] }))).toBe('ak.untrusted');
      expect(told(evidence, byReport({ measurement: 'ab'.repeat(48) }))).toBe('ak.untrusted');
      expect(told(evidence, byReport({ measurement, vmpl: 1 }))).toBe('ak.untrusted');
    }
    expect(told({ gpus }, byReport())).toBe('ak.untrusted');
  });

  test('a report that names an AK without its quote', () => {
    expect(told(snpEvidence(), byReport())).toBe('evidence.unbound');
    expect(told(snpEvidence(), { ...byReport(), reportData: reportData() })).toBe('evidence.unbound');
    expect(told(snpEvidence())).toBe('accepted');
  });

  test('an HCL report without a quote, and one whose machine only the measurement of its paravisor is known of', () => {
    const { hcl, tpm } = hclMachine(BASE);
    const pinned = { platform: { pcrs: { '4': pcr(4), '7': pcr(7) } } };
    const open = { platform: { unmeasuredBoot: true } };
    expect(told({ hcl }, byReport({ measurement }, open))).toBe('evidence.unbound');
    expect(told({ hcl }, byReport({ measurement }, pinned))).toBe('evidence.malformed');
    expect(told({ hcl, tpm }, byReport())).toBe('evidence.unbound');
    expect(told({ hcl, tpm }, byReport({ measurement }, open))).toBe('accepted');
  });

  test('a machine without the TPM whose PCRs are asked for, be it that one is absent', () => {
    expect(told(alone, byReport({ measurement }, { measurement: {}, policies: POLICIES }))).toBe('evidence.malformed');
    expect(told(alone, byReport({ measurement }, { platform: { pcrs: { '4': pcr(4) } } }))).toBe('evidence.malformed');
    const absent = { claim: 'tpm.pcrs.sha256.4', exists: false };
    const release = { version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: [absent] }] };
    expect(told(alone, byReport({ measurement }, { release }))).toBe('evidence.malformed');
  });

  test('but where a rule is for the machine, its report vouches for the AK', () => {
    for (const evidence of [ofQuote, hclMachine(BASE)]) {
      const platform = { pcrs: { '4': pcr(4) }, unmeasuredBoot: true };
      const verdict = verify(evidence, byReport({ measurement }, { measurement: {}, platform }));
      expect(verdict.ok && claimAt(verdict.value, 'tpm.ak.trust')).toBe('cvm-report');
    }
  });

  test('claims of runtime data that no known paravisor has checked', () => {
    const pinned = { trust: ['pinned'], allow: { cvm: [{ measurement: 'ab'.repeat(48) }] } };
    const release = (exists: boolean) => ({
      version: '1.0.0',
      anyOf: [{ authority: 'portcullis', allOf: [{ claim: 'hcl', exists }] }],
    });
    const members = (exists: boolean) => ({ measurement: {}, release: release(exists), policies: POLICIES });
    expect(told(hclMachine(BASE), by(pinned, members(true)))).toBe('policy.claims');
    expect(told(hclMachine(BASE), by(pinned, members(false)))).toBe('accepted');
    const rule = { trust: ['pinned'], allow: { cvm: [{ measurement }] } };
    expect(told(hclMachine(BASE), by(rule, members(true)))).toBe('accepted');
  });

  test('and what it may accept is not: a pin may stand behind an AK whose report no rule is for', () => {
    const members = { measurement: {}, policies: POLICIES };
    const cvm = [{ measurement: 'ab'.repeat(48) }];
    expect(told(ofQuote, by({ trust: ['pinned', 'cvm-report'], allow: { cvm } }, members))).toBe('accepted');
    expect(told(ofQuote, by({ trust: ['pinned'], allow: { cvm } }, members))).toBe('accepted');
    expect(told(ofQuote, by({ trust: ['cvm-report'], allow: { cvm } }, members))).toBe('ak.untrusted');
    expect(told({ tpm: quoted(BASE) }, by({ trust: ['pinned'], allow: { cvm } }, members))).toBe('accepted');
  });

  test('nor does report data vouch for an AK whose public area nobody shows', () => {
    const hidden = { ...snpEvidence(), tpm: { ...quoted(BASE), ak: undefined, namedSpki: spkiOf(AK) } };
    expect(told(hidden, byReport())).toBe('ak.untrusted');
  });
});
