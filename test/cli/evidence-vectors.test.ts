/** What `portcullis evidence verify` says of real evidence, at the clock and with the collateral that are stated with it. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  azure,
  b64,
  devices,
  file,
  flipped,
  gpu,
  HAVE_VECTORS,
  json,
  kinvolkTpm,
  snp,
  tdx,
} from './evidence-vectors.js';
import { onlyJson, portcullis } from './harness.js';

const describeWithVectors = HAVE_VECTORS ? describe : describe.skip;
const TODAY = '2026-11-21T00:00:00Z';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-evidence-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

let count = 0;
interface Verdict {
  readonly code: number;
  readonly json: Record<string, unknown>;
}

async function verify(evidence: unknown, at: string, ...options: readonly string[]): Promise<Verdict> {
  const name = join(dir, `evidence-${String(count++)}.json`);
  writeFileSync(name, JSON.stringify(evidence));
  const ran = await portcullis(['evidence', 'verify', name, '--at', at, '--json', ...options]);
  return { code: ran.code, json: onlyJson(ran.stdout) };
}

/** `accepted`, or the reason of the refusal; the exit code goes with it. */
async function verdict(evidence: unknown, at: string, ...options: readonly string[]): Promise<string> {
  const { code, json: said } = await verify(evidence, at, ...options);
  const accepted = said['ok'] === true;
  expect(code).toBe(accepted ? 0 : 1);
  expect(Object.keys(said)).toEqual(accepted ? ['ok', 'claims'] : ['ok', 'reason', 'detail']);
  return accepted ? 'accepted' : String(said['reason']);
}

async function claims(evidence: unknown, at: string, ...options: readonly string[]): Promise<Record<string, never>> {
  const { json: said } = await verify(evidence, at, ...options);
  if (said['ok'] !== true) throw new Error(JSON.stringify(said));
  return said['claims'] as Record<string, never>;
}

function collateral(files: Readonly<Record<string, string>>): string {
  const to = mkdtempSync(join(dir, 'collateral-'));
  for (const [name, from] of Object.entries(files)) {
    const target = join(to, name);
    mkdirSync(join(target, '..'), { recursive: true });
    copyFileSync(join('../shared/vectors', from), target);
  }
  return to;
}

describeWithVectors('SEV-SNP reports', () => {
  const report = (set: string, name = 'attestation_report.bin') => file(`snp/${set}/${name}`);
  const SETS: readonly (readonly [string, () => unknown])[] = [
    ['ms-milan', () => snp(report('ms-milan'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem')],
    ['ms-turin', () => snp(report('ms-turin'), 'snp/ms-turin/vcek.pem', 'snp/ms-turin/ask.pem')],
    [
      'ms-crypto-milan',
      () => snp(report('ms-crypto-milan'), 'snp/ms-crypto-milan/vcek.pem', 'snp/ms-crypto-milan/ask.pem'),
    ],
    ['trustee-milan-vcek', () => snp(report('trustee-milan-vcek', 'report.bin'), 'snp/trustee-milan-vcek/vcek.der')],
    ['trustee-e2e', () => snp(report('trustee-e2e', 'report.reconstructed.bin'), 'snp/trustee-e2e/vcek.der')],
    ['dstack', () => snp(report('dstack', 'report.extracted.bin'), 'snp/dstack/vcek.pem', 'snp/dstack/ask.pem')],
    [
      'virtee-milan',
      () =>
        snp(Buffer.from(report('virtee-milan', 'report.hex').toString().trim(), 'hex'), 'snp/virtee-milan/vcek.der'),
    ],
  ];

  test.each(SETS)('%s is accepted today', async (set, evidence) => {
    expect(await verdict(evidence(), TODAY)).toBe('accepted');
    const said = await claims(evidence(), TODAY);
    const expected = (json('snp/expected.json') as Record<string, Record<string, unknown>>)[set];
    expect(said).toMatchObject({ snp: { measurement: expected?.['measurement'], vmpl: expected?.['vmpl'] } });
    expect(said).not.toHaveProperty('tpm');
  });

  test('of ACI, with the chain of its host, is accepted; HOST_DATA is a claim that a policy can judge', async () => {
    const evidence = snp(report('aci-sidecar', 'snp_report.bin'), 'snp/aci-sidecar/uvm_host_amd_certificate.pem');
    expect(await verdict(evidence, TODAY)).toBe('accepted');
    const milan = snp(report('ms-milan'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem');
    const allowAll = '4f4448c67f3c8dfc8de8a5e37125d807dadcc41f06cf23f615dbd52eec777d10';
    const policy = join(dir, 'not-allow-all.json');
    const conditions = [{ claim: 'snp.host_data', notEquals: allowAll }];
    writeFileSync(
      policy,
      JSON.stringify({ version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: conditions }] }),
    );
    expect(await verdict(milan, TODAY, '--policy', policy)).toBe('policy.claims');
    expect(await verdict(evidence, TODAY, '--policy', policy)).toBe('accepted');
  });

  test('under a VLEK is accepted while that is valid, and not after it', async () => {
    const evidence = snp(report('trustee-milan-vlek', 'report.bin'), 'snp/trustee-milan-vlek/vlek.der');
    expect(await verdict(evidence, '2025-06-01T00:00:00Z')).toBe('accepted');
    expect(await claims(evidence, '2025-06-01T00:00:00Z')).toMatchObject({ snp: { vmpl: 1 } });
    expect(await verdict(evidence, '2025-12-11T00:00:00Z')).toBe('snp.chain');
    expect(await verdict(evidence, '2024-12-01T00:00:00Z')).toBe('snp.chain');
  });

  test('with a doctored VCEK, or that of another chip, is refused', async () => {
    const bytes = report('trustee-milan-vcek', 'report.bin');
    for (const doctored of ['vcek-legacy-hwid.der', 'vcek-new-hwid.der']) {
      expect(await verdict(snp(bytes, `snp/trustee-milan-vcek/${doctored}`), TODAY)).toBe('snp.chain');
    }
    expect(await verdict(snp(bytes, 'snp/dstack/vcek.pem'), TODAY)).toBe('snp.signature');
    expect(await verdict(snp(bytes, 'snp/ms-turin/vcek.pem', 'snp/ms-turin/ask.pem'), TODAY)).toMatch(/^snp\./);
  });

  test('without any certificate, cut short, or with one more byte, is refused', async () => {
    const bytes = report('ms-milan');
    expect(await verdict(snp(bytes), TODAY)).toBe('snp.chain');
    expect(await verdict(snp(bytes.subarray(0, -1), 'snp/ms-milan/vcek.pem'), TODAY)).toBe('evidence.malformed');
    expect(await verdict(snp(Buffer.concat([bytes, Buffer.of(0)]), 'snp/ms-milan/vcek.pem'), TODAY)).toBe(
      'evidence.malformed',
    );
  });

  test('--report-data is all of its report data', async () => {
    const evidence = snp(report('ms-milan'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem');
    expect(await verdict(evidence, TODAY, '--report-data', '00'.repeat(64))).toBe('accepted');
    for (const other of ['00'.repeat(63), '00'.repeat(32), '', `${'00'.repeat(63)}01`]) {
      expect(await verdict(evidence, TODAY, '--report-data', other)).toBe('evidence.unbound');
    }
  });
});

describeWithVectors('TDX quotes', () => {
  const IN_2023 = '2023-06-20T00:00:00Z';
  const GOOGLE = {
    'tcbInfo.json': 'tdx/google-collateral/tcbInfo_v4.json',
    'tcbInfoIssuerChain.pem': 'tdx/google-collateral/tcbInfoIssuerChain.pem',
    'qeIdentity.json': 'tdx/google-collateral/qeIdentity.json',
    'qeIdentityIssuerChain.pem': 'tdx/google-collateral/qeIdentityIssuerChain.pem',
    'pckCrl.der': 'tdx/google-collateral/pckcrl.pem',
    'rootCaCrl.der': 'tdx/google-collateral/rootcrl.der',
  };
  const quote = (name: string) => tdx(file(`tdx/${name}`));
  const hexQuote = (name: string) => tdx(Buffer.from((json(`tdx/${name}`) as { readonly quote: string }).quote, 'hex'));

  test.each([
    ['google-prod-v4', () => quote('google-prod-v4/quote.dat')],
    ['google-ccel', () => quote('google-ccel/quote.dat')],
    ['trustee 6', () => quote('trustee/tdx_quote_6.dat')],
    ['dstack ra-tls', () => quote('dstack/ra-tls-tdx_quote')],
    ['dstack quote-report', () => hexQuote('dstack/quote-report.json')],
    ['dstack tdx-lite', () => hexQuote('dstack/tdx-lite-getquote.json')],
    ['Azure', () => tdx(file('azure-hcl/trustee-tdx/td-quote.bin'))],
  ] as const)('%s is genuine, and nothing can be said without collateral', async (_name, evidence) => {
    expect(await verdict(evidence(), TODAY)).toBe('collateral.unavailable');
  });

  test('of a TD that may be debugged, or with a service TD, is refused whatever collateral there is', async () => {
    expect(await verdict(quote('trustee/tdx_quote_4.dat'), TODAY)).toBe('tdx.debug');
    expect(await verdict(quote('trustee/tdx_quote_5.dat'), TODAY)).toBe('tdx.service_td');
  });

  test('of Intel’s own sample ends in a test root', async () => {
    expect(await verdict(quote('intel-qvl-sample/quote.dat'), TODAY)).toMatch(/^(?:tdx\.chain|evidence\.malformed)$/);
  });

  test('that no TCB level of its platform matches is refused, within the dates of the collateral alone', async () => {
    const files = collateral(GOOGLE);
    expect(await verdict(quote('google-prod-v4/quote.dat'), IN_2023, '--collateral', files)).toBe('tdx.tcb');
    for (const at of ['2023-06-01T00:00:00Z', '2023-08-01T00:00:00Z', TODAY]) {
      expect(await verdict(quote('google-prod-v4/quote.dat'), at, '--collateral', files)).toBe(
        'collateral.unavailable',
      );
    }
  });

  test('lacks collateral where any one piece is left out', async () => {
    for (const left of ['tcbInfo.json', 'qeIdentity.json', 'pckCrl.der', 'rootCaCrl.der']) {
      const files = Object.fromEntries(Object.entries(GOOGLE).filter(([name]) => name !== left));
      const said = await verdict(quote('google-prod-v4/quote.dat'), IN_2023, '--collateral', collateral(files));
      expect([left, said]).toEqual([left, 'collateral.unavailable']);
    }
  });

  test('with a bit flipped is refused', async () => {
    const { quote: text } = quote('google-prod-v4/quote.dat').tdx;
    for (const [byte, reason] of [
      [200, 'tdx.signature'],
      [640, 'tdx.signature'],
    ] as const) {
      expect(await verdict({ tdx: { quote: flipped(text, byte) } }, TODAY)).toBe(reason);
    }
  });
});

describeWithVectors('Azure confidential VMs', () => {
  test('an SEV-SNP machine with its vTPM is accepted; that its paravisor is to be believed, nobody has said', async () => {
    const evidence = azure('trustee-snp');
    expect(await verdict(evidence, TODAY)).toBe('accepted');
    const said = await claims(evidence, TODAY);
    expect(said).toMatchObject({ tpm: { ak: {} }, hcl: { type: 'snp' }, snp: { vmpl: 0 } });
    expect(said).not.toHaveProperty('tpm.ak.trust');
  });

  test('a whole release request is taken for the evidence in it, and empty members count as absent', async () => {
    const request = {
      nonce: 'x',
      deployment: 'd',
      evidence: { ...azure('trustee-snp'), snp: {}, tdx: {}, gpus: [], tokens: [] },
    };
    expect(await verdict(request, TODAY)).toBe('accepted');
  });

  test('its quote must hold --extra-data', async () => {
    const challenge = Buffer.from('challenge').toString('hex');
    expect(await verdict(azure('trustee-snp'), TODAY, '--extra-data', challenge)).toBe('accepted');
    expect(await verdict(azure('trustee-snp'), TODAY, '--extra-data', '')).toBe('quote.binding');
    expect(await verdict(azure('trustee-snp'), TODAY, '--extra-data', `${challenge}00`)).toBe('quote.binding');
  });

  test('--report-data is that of the hardware report inside', async () => {
    const found = 'af2910341dd8108360e485f1b72494255190b9cdd5ccb44b73b883037cf99f21';
    expect(await verdict(azure('trustee-snp'), TODAY, '--report-data', found.padEnd(128, '0'))).toBe('accepted');
    expect(await verdict(azure('trustee-snp'), TODAY, '--report-data', found.padEnd(128, '1'))).toBe(
      'evidence.unbound',
    );
  });

  test('its report alone is accepted, and says nothing of a quote', async () => {
    const { hcl } = azure('trustee-snp');
    expect(Object.keys(await claims({ hcl }, TODAY)).sort()).toEqual(['hcl', 'snp']);
  });

  test('a TDX machine is genuine, and nothing can be said without collateral', async () => {
    expect(await verdict(azure('trustee-tdx'), TODAY)).toBe('collateral.unavailable');
    const { tpm, hcl } = azure('trustee-tdx');
    expect(await verdict({ tpm, hcl: { report: hcl.report } }, TODAY)).toBe('evidence.malformed');
  });

  test('a changed quote, PCR, AK or setting is refused with its reason', async () => {
    const { tpm, hcl } = azure('trustee-snp');
    const pcrs = { sha256: { ...tpm.pcrs.sha256, '8': 'ab'.repeat(32) } };
    expect(await verdict({ tpm: { ...tpm, pcrs }, hcl }, TODAY)).toBe('quote.pcr_digest');
    expect(await verdict({ tpm: { ...tpm, signature: flipped(tpm.signature, -1) }, hcl }, TODAY)).toBe(
      'quote.signature',
    );
    expect(await verdict({ tpm: { ...tpm, quoted: flipped(tpm.quoted, -1) }, hcl }, TODAY)).toBe('quote.signature');
    // A digit of a setting in the runtime data, far behind the keys.
    const text = Buffer.from(hcl.report, 'base64url');
    const place = text.indexOf('26F8BC30-774E');
    expect(place).toBeGreaterThan(0);
    expect(await verdict({ tpm, hcl: { ...hcl, report: flipped(hcl.report, place) } }, TODAY)).toBe('hcl.runtime_data');
    expect(await verdict({ tpm, hcl: { ...hcl, report: flipped(hcl.report, 0x20 + 0x90) } }, TODAY)).toBe(
      'snp.signature',
    );
    // A digit of the modulus of the AK: the report does not name it any more.
    const modulus = text.indexOf('"n":"') + 20;
    expect(await verdict({ tpm, hcl: { ...hcl, report: flipped(hcl.report, modulus) } }, TODAY)).toBe(
      'hcl.runtime_data',
    );
  });

  test('the quote of another machine is refused, whether its AK is shown or not', async () => {
    const { hcl } = azure('trustee-snp');
    expect(await verdict({ hcl, tpm: kinvolkTpm() }, TODAY)).toBe('hcl.ak_mismatch');
    expect(await verdict({ hcl, tpm: azure('trustee-tdx').tpm }, TODAY)).toBe('quote.signature');
  });

  test('a report beside the VCEK of another chip is refused', async () => {
    const report = b64(file('azure-hcl/kinvolk/hcl-report-snp.bin'));
    const { certificates } = snp(Buffer.alloc(0), 'azure-hcl/kinvolk/certs.pem').snp;
    expect(await verdict({ hcl: { report, certificates } }, TODAY)).toBe('snp.signature');
  });

  test('a quote alone is as for `quote verify`: nothing vouches for its AK', async () => {
    const tpm = kinvolkTpm();
    expect(await verdict({ tpm }, TODAY)).toBe('accepted');
    expect(await claims({ tpm }, TODAY)).not.toHaveProperty('tpm.ak.trust');
    expect(await verdict({ tpm: azure('trustee-snp').tpm }, TODAY)).toBe('evidence.malformed');
  });

  test('a report and the quote of a TPM that it does not name are evidence.unbound', async () => {
    const milan = snp(file('snp/ms-milan/attestation_report.bin'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem');
    expect(await verdict({ ...milan, tpm: kinvolkTpm() }, TODAY)).toBe('evidence.unbound');
    expect(await verdict({ ...milan, ...azure('trustee-snp') }, TODAY)).toBe('evidence.unbound');
  });
});

describeWithVectors('NVIDIA devices', () => {
  const AT = '2026-11-01T00:00:00Z';
  const NONCE = '931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb';
  const nvat = 'gpu/nvat/testdata';
  const samples = `${nvat}/sample_attestation_data`;
  const hopper = () => gpu(`gpu/nvtrust-hopper/hopperAttestationReport.txt`, 'gpu/nvtrust-hopper/hopperCertChain.txt');
  const ls10 = () => gpu(`${samples}/switch/switchAttestationReport.txt`, `${samples}/switch/switchCertChain.txt`);
  const switchRim = () =>
    collateral({
      'rim/NV_SWITCH_BIOS_5612_0002_890_9610550001': `${nvat}/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml`,
    });

  test.each([
    ['Hopper of nvtrust', () => [hopper()]],
    [
      'Hopper of Trustee',
      () => [gpu('gpu/trustee/hopperAttestationReport.txt', 'gpu/trustee/hopper_cert_chain_case1.txt')],
    ],
    [
      'Hopper, driver 535',
      () => [gpu(`${samples}/gpu/hopperAttestationReport.txt`, `${samples}/gpu/hopperCertChain.txt`)],
    ],
    [
      'Blackwell',
      () => [gpu(`${samples}/gpu/blackwellAttestationReport.txt`, `${samples}/gpu/blackwellCertChain.txt`)],
    ],
    ['LS10', () => [ls10()]],
    ['Hopper, driver 580', () => [gpu(`${nvat}/hopperAttestationReport.txt`, `${nvat}/hopperCertChain.txt`)]],
    ['a list of one', () => devices('gpu/nvat/common/serialized_test_evidence/hopper_evidence.json')],
    [
      'one on hold, which only OCSP says',
      () => devices('gpu/nvat/common/serialized_test_evidence/hopper_evidence_cert_hold.json'),
    ],
    ['driver 590.12', () => devices('gpu/nvat/testdata/evidence_hopper_590_12.json')],
    [
      '8 GPUs and 4 switches',
      () => [...devices('gpu/nvtrust-ppcie/gpu_evidence.json'), ...devices('gpu/nvtrust-ppcie/switch_evidence.json')],
    ],
  ] as const)('%s: genuine, and nothing can be said without reference values', async (_name, gpus) => {
    expect(await verdict({ gpus: gpus() }, AT)).toBe('collateral.unavailable');
  });

  test('a switch with its manifest is accepted, under its own nonce', async () => {
    const rims = switchRim();
    expect(await verdict({ gpus: [ls10()] }, AT, '--collateral', rims)).toBe('accepted');
    expect(await verdict({ gpus: [ls10()] }, AT, '--collateral', rims, '--gpu-nonce', NONCE)).toBe('accepted');
    for (const other of [NONCE.replace('9', '8'), NONCE.slice(2), `${NONCE}00`, '']) {
      expect(await verdict({ gpus: [ls10()] }, AT, '--collateral', rims, '--gpu-nonce', other)).toBe('gpu.nonce');
    }
    expect(await claims({ gpus: [ls10()] }, AT, '--collateral', rims)).toMatchObject({ gpu: { '0': {}, count: 0 } });
    expect(await verdict({ gpus: [ls10()] }, '2028-06-01T00:00:00Z', '--collateral', rims)).toBe(
      'collateral.unavailable',
    );
  });

  test('a report that was changed is refused', async () => {
    for (const kind of ['gpu/hopper', 'switch/switch']) {
      const changed = gpu(`${samples}/${kind}AttestationReportInvalidSignature.txt`, `${samples}/${kind}CertChain.txt`);
      expect([kind, await verdict({ gpus: [changed] }, AT)]).toEqual([kind, 'gpu.signature']);
    }
    const device = hopper();
    expect(await verdict({ gpus: [{ ...device, report: flipped(device.report, 10) }] }, AT)).toBe('gpu.signature');
  });

  test('a chain with a certificate missing is refused', async () => {
    for (const name of ['case2', 'case3', 'case4']) {
      const device = gpu('gpu/trustee/hopperAttestationReport.txt', `gpu/trustee/hopper_cert_chain_${name}.txt`);
      const said = await verdict({ gpus: [device] }, AT);
      expect([name, /^gpu\.(?:chain|signature)$/.test(said)]).toEqual([name, true]);
    }
  });

  test('one device four times is gpu.duplicate', async () => {
    const gpus = devices('gpu/nvat/common/serialized_test_evidence/multi_switch_ls10.json');
    expect(await verdict({ gpus }, AT)).toBe('gpu.duplicate');
  });

  test('a manifest that was edited after it was signed is none', async () => {
    const edited = `${nvat}/sample_rims/NV_SWITCH_BIOS_5612_0002_890_9610550001`;
    for (const how of ['invalid_signature', 'measurement_mismatch']) {
      const rims = collateral({ 'rim/NV_SWITCH_BIOS_5612_0002_890_9610550001': `${edited}_${how}.xml` });
      expect(await verdict({ gpus: [ls10()] }, AT, '--collateral', rims)).toMatch(
        /^(?:gpu\.rim|collateral\.unavailable)$/,
      );
    }
  });

  test('a device beside a quote that does not name its report is evidence.unbound', async () => {
    const rims = switchRim();
    const spliced = { ...azure('trustee-snp'), gpus: [ls10()] };
    expect(await verdict(spliced, AT, '--collateral', rims)).toBe('evidence.unbound');
    const extraData = Buffer.from('challenge').toString('hex');
    expect(await verdict(spliced, AT, '--collateral', rims, '--extra-data', extraData)).toBe('evidence.unbound');
    // Both were named by whoever asks: it is for him to know that they belong together.
    const both = ['--extra-data', extraData, '--gpu-nonce', NONCE];
    expect(await verdict(spliced, AT, '--collateral', rims, ...both)).toBe('accepted');
  });

  test('a device beside a report of a VM that names another challenge is evidence.unbound', async () => {
    const milan = snp(file('snp/ms-milan/attestation_report.bin'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem');
    const spliced = { ...milan, gpus: [ls10()] };
    const rims = switchRim();
    expect(await verdict(spliced, AT, '--collateral', rims)).toBe('evidence.unbound');
    const both = ['--report-data', '00'.repeat(64), '--gpu-nonce', NONCE];
    expect(await verdict(spliced, AT, '--collateral', rims, ...both)).toBe('accepted');
  });
});
