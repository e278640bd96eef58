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
import { eccAk } from '../evidence/tpm/software-quote.js';
import {
  BASE,
  believing,
  device,
  hclMachine,
  machine,
  quoted,
  reportData,
  snpEvidence,
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
  test('with SEV-SNP, a TPM and a GPU is accepted, and its report vouches for the AK', () => {
    const verdict = verify(machine());
    if (!verdict.ok) throw new Error(`${verdict.reason}: ${verdict.detail}`);
    expect(claimAt(verdict.value, 'tpm.ak.trust')).toBe('cvm-report');
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
