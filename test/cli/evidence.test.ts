import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  caConstraints,
  caUsage,
  derivedKey,
  issueCertificate,
  selfSigned,
  signingUsage,
  simulatorName,
} from '../../src/simulator/certificate.js';
import { eccAk, pcrValue, selection, softwareQuote } from '../evidence/tpm/software-quote.js';
import { encodePublicArea } from '../evidence/tpm/encode.js';
import { azure, b64, devices, file, gpu, HAVE_VECTORS, snp, tdx } from './evidence-vectors.js';
import { device, spkiOf } from './evidence-simulated.js';
import { onlyJson, portcullis } from './harness.js';

const testWithVectors = HAVE_VECTORS ? test : test.skip;
const AT = '2026-11-21T00:00:00Z';
const AK = eccAk();
const POLICY = Buffer.from('a runtime policy');
const sha256 = (...parts: readonly Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-evidence-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

let count = 0;
function put(content: string | Uint8Array | object, name = `file-${String(count++)}`): string {
  const path = join(dir, name);
  const isText = typeof content === 'string' || content instanceof Uint8Array;
  writeFileSync(path, isText ? content : JSON.stringify(content));
  return path;
}

/** A quote of a software AK, PCR 0, 4 and 8, of which 8 may be given. */
function softwareTpm(policyPcr = pcrValue('sha256', 8), extraData = Buffer.from('nonce')) {
  const pcrs = { '0': pcrValue('sha256', 0), '4': pcrValue('sha256', 4), '8': policyPcr };
  const pcrDigest = sha256(Buffer.from(Object.values(pcrs).join(''), 'hex'));
  const { quoted, signature } = softwareQuote(AK, {
    pcrSelect: [selection('sha256', 0, 4, 8)],
    extraData,
    body: { pcrDigest },
  });
  const ak = encodePublicArea(AK.area);
  return { tpm: { quoted: b64(quoted), signature: b64(signature), ak: b64(ak), pcrs: { sha256: pcrs } } };
}

async function verify(evidence: object, ...options: readonly string[]) {
  const { code, stdout } = await portcullis(['evidence', 'verify', put(evidence), '--at', AT, '--json', ...options]);
  return { code, said: onlyJson(stdout) };
}

async function reasonOf(evidence: object, ...options: readonly string[]): Promise<string> {
  const { code, said } = await verify(evidence, ...options);
  expect(code).toBe(said['ok'] === true ? 0 : 1);
  return said['ok'] === true ? 'accepted' : String(said['reason']);
}

describe('what is typed wrong', () => {
  test('of conditions and times is wrong usage, never a verdict', async () => {
    const wrong: readonly (readonly [string, string, RegExp])[] = [
      ['--report-data', '0', /two digits a byte/],
      ['--gpu-nonce', 'xy', /two digits a byte/],
      ['--at', '2026-02-30T00:00:00Z', /RFC 3339/],
      ['--at', '2026-11-01T24:00:00Z', /RFC 3339/],
    ];
    for (const [option, value, message] of wrong) {
      const { code, stderr } = await portcullis(['evidence', 'verify', put(softwareTpm()), option, value]);
      expect([option, code, stderr]).toEqual([option, 2, expect.stringMatching(message)]);
    }
    for (const bytes of [1, 64, 65])
      expect(await reasonOf(softwareTpm(), '--report-data', '00'.repeat(bytes))).toBe('evidence.unbound');
  });

  test('a policy that is too large is not said to be the configuration’s fault', async () => {
    const policy = put(' '.repeat(1024 * 1024 + 1));
    const { code, stderr } = await portcullis(['evidence', 'verify', put(softwareTpm()), '--policy', policy]);
    expect([code, stderr]).toEqual([1, `portcullis: request.too_large: ${policy} is larger than 1048576 bytes\n`]);
  });

  test.each(['verify', 'explain'])('%s: the name of a file of collateral moves no cursor', async (verb) => {
    const collateral = mkdtempSync(join(dir, 'collateral-'));
    writeFileSync(join(collateral, 'a\u001b[31m\nb.json'), '{}');
    const { stderr } = await portcullis(['evidence', verb, put(softwareTpm()), '--collateral', collateral]);
    expect(stderr).toMatch(/^warning: [^\n]*a\ufffd\[31m b\.json is left out: [^\n]+\n$/);
    expect(stderr).not.toContain('\u001b');
  });
});

describe('`evidence verify`', () => {
  test('prints claims for people and for programs', async () => {
    const name = put(softwareTpm());
    const people = await portcullis(['evidence', 'verify', name]);
    expect(people).toMatchObject({ code: 0, stderr: '' });
    expect(people.stdout).toMatch(/^The evidence is accepted\.\n/);
    expect(people.stdout).toMatch(/tpm\.pcrs\.sha256\.8 +[0-9a-f]{64}\n/);
    const { said } = await verify(softwareTpm());
    expect(said).toMatchObject({ ok: true, claims: { tpm: { quote: { signature_algorithm: 'ecdsa-sha256' } } } });
    expect(said).not.toHaveProperty('claims.tpm.ak.trust');
  });

  testWithVectors('notes that nothing believes what an HCL report says', async () => {
    const name = put(azure('trustee-snp'));
    for (const format of [[], ['--json']]) {
      const { code, stdout, stderr } = await portcullis(['evidence', 'verify', name, '--at', AT, ...format]);
      expect([code, stderr]).toEqual([
        0,
        expect.stringMatching(/^note: nothing believes the claims hcl\.\* yet: .+\n$/),
      ]);
      expect(stdout).toContain('runtime_data_sha256');
    }
    const genuine =
      '{"version":"1.0.0","anyOf":[{"authority":"portcullis","allOf":[{"claim":"snp.vmpl","equals":0}]}]}';
    const judged = await portcullis(['evidence', 'verify', name, '--at', AT, '--policy', put(genuine)]);
    expect([judged.code, judged.stderr]).toEqual([0, expect.stringMatching(/^note: nothing believes/)]);
  });

  test('refuses any other content of the file with exit code 1 and a reason, never 2', async () => {
    const contents: readonly (string | Uint8Array | object)[] = [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      '1',
      '{"tpm":{},"tpm":{}}',
      '{"evidence":null}',
      '['.repeat(100_000),
      Buffer.alloc(1184),
      Buffer.alloc(5 * 1024 * 1024, 0x20),
      {},
      { evidence: {} },
      { evidence: { snp: {}, gpus: [] } },
      { unknown: {} },
      { tpm: {} },
      { snp: { report: 5 } },
      { snp: { report: '' } },
      { snp: { report: 'AA==' } },
      { snp: { certificates: [] } },
      { tdx: { quote: 'AA' } },
      { hcl: { report: 'AA' } },
      { gpus: [{ report: 'AA' }] },
      { gpus: Array.from({ length: 17 }, () => ({ report: 'AA' })) },
      { gpus: [null] },
      { tokens: ['a.b.c'] },
      { tokens: [1] },
      { ...softwareTpm(), hcl: { report: 'AA' } },
    ];
    for (const content of contents) {
      const { code, stdout } = await portcullis(['evidence', 'verify', put(content), '--json']);
      const { ok, reason, detail } = onlyJson(stdout);
      const shown = JSON.stringify(content).slice(0, 60);
      expect([shown, code, ok, typeof detail]).toEqual([shown, 1, false, 'string']);
      expect([shown, reason]).toEqual([
        shown,
        expect.stringMatching(/^(?:request\.malformed|(?:evidence|token|gpu)\.[a-z_]+)$/),
      ]);
    }
  });

  test('refuses arbitrary bytes, and arbitrary JSON in the places of evidence, without a fault', async () => {
    const reason =
      /^(?:request\.malformed|evidence\.(?:malformed|unbound)|token\.untrusted|(?:snp|tdx|hcl|gpu|quote|ak)\.[a-z_]+)$/;
    const bytes = fc.uint8Array({ maxLength: 1300 });
    const part = fc.oneof(fc.jsonValue(), bytes.map(b64));
    const member = fc.record(
      {
        tpm: fc.oneof(fc.jsonValue(), fc.record({ quoted: part, signature: part, ak: part, pcrs: fc.jsonValue() })),
        hcl: fc.record(
          { report: part, certificates: fc.array(part, { maxLength: 2 }), quote: part },
          { requiredKeys: [] },
        ),
        snp: fc.record({ report: part, certificates: fc.array(part, { maxLength: 2 }) }, { requiredKeys: [] }),
        tdx: fc.record({ quote: part }, { requiredKeys: [] }),
        gpus: fc.array(fc.record({ report: part, certificates: fc.array(part, { maxLength: 2 }) }), { maxLength: 2 }),
        tokens: fc.array(part, { maxLength: 2 }),
      },
      { requiredKeys: [] },
    );
    const content = fc.oneof(
      bytes.map((some) => Buffer.from(some)),
      member,
    );
    await fc.assert(
      fc.asyncProperty(content, async (some) => {
        const { code, stdout } = await portcullis(['evidence', 'verify', put(some, 'any'), '--json']);
        expect(code).toBe(1);
        expect(onlyJson(stdout)['reason']).toMatch(reason);
        const explained = await portcullis(['evidence', 'explain', put(some, 'any'), '--json']);
        if (explained.code === 0) expect(onlyJson(explained.stdout)).toHaveProperty('verdict.ok', false);
        else expect(onlyJson(explained.stdout)['reason']).toMatch(reason);
      }),
      { numRuns: 200 },
    );
  });

  test('is wrong usage without a file that can be read, and with values that are none', async () => {
    const good = put(softwareTpm());
    for (const args of [
      [join(dir, 'missing')],
      [dir],
      [good, '--at', 'yesterday'],
      [good, '--extra-data', 'xyz'],
      [good, '--gpu-nonce', '0'],
      [good, '--policy', join(dir, 'missing')],
      [good, '--collateral', join(dir, 'missing')],
    ]) {
      expect((await portcullis(['evidence', 'verify', ...args])).code).toBe(2);
    }
  });

  test('reads stdin', async () => {
    const ran = await portcullis(['evidence', 'verify', '-'], { stdin: JSON.stringify(softwareTpm()) });
    expect(ran.code).toBe(0);
  });

  test('takes a condition on evidence that was not sent for one that is not met', async () => {
    expect(await reasonOf(softwareTpm(), '--gpu-nonce', '00'.repeat(32))).toBe('gpu.nonce');
    expect(await reasonOf(softwareTpm(), '--report-data', '00'.repeat(64))).toBe('evidence.unbound');
    if (HAVE_VECTORS) {
      const milan = snp(file('snp/ms-milan/attestation_report.bin'), 'snp/ms-milan/vcek.pem');
      expect(await reasonOf(milan, '--extra-data', '')).toBe('quote.binding');
    }
  });

  test('holds extraData against --extra-data, the empty one too', async () => {
    expect(await reasonOf(softwareTpm(), '--extra-data', Buffer.from('nonce').toString('hex'))).toBe('accepted');
    expect(await reasonOf(softwareTpm(), '--extra-data', '')).toBe('quote.binding');
    expect(await reasonOf(softwareTpm(undefined, Buffer.alloc(0)), '--extra-data', '')).toBe('accepted');
  });

  test('believes no attestation token: offline there is no authority', async () => {
    expect(await reasonOf({ ...softwareTpm(), tokens: ['e30.e30.AA'] })).toBe('token.untrusted');
  });

  test('refuses a certificate beside the quote that is not one of the AK', async () => {
    const { tpm } = softwareTpm();
    expect(await reasonOf({ tpm: { ...tpm, ak_certificates: ['MAA'] } })).toBe('evidence.unbound');
  });

  test('warns of a file in --collateral that holds none, and goes on', async () => {
    const collateral = mkdtempSync(join(dir, 'collateral-'));
    writeFileSync(join(collateral, 'tcbInfo.json'), 'garbage');
    const ran = await portcullis(['evidence', 'verify', put(softwareTpm()), '--collateral', collateral, '--json']);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(/^warning: .*tcbInfo\.json is left out: /);
  });
});

describe('`evidence verify --policy` with a release policy', () => {
  const policy = (claim: string, equals: unknown) =>
    put({ version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: [{ claim, equals }] }] });

  test('is held against the claims; people see what is not met', async () => {
    expect(await reasonOf(softwareTpm(), '--policy', policy('tpm.safe', true))).toBe('accepted');
    expect(await reasonOf(softwareTpm(), '--policy', policy('tpm.safe', false))).toBe('policy.claims');
    expect(await reasonOf(softwareTpm(), '--policy', policy('snp.vmpl', 0))).toBe('policy.claims');
    expect(await reasonOf(softwareTpm(), '--policy', policy('tpm.ak.trust', 'pinned'))).toBe('policy.claims');
    const ran = await portcullis(['evidence', 'verify', put(softwareTpm()), '--policy', policy('snp.vmpl', 0)]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('policy.claims') });
    expect(ran.stdout).toMatch(/snp\.vmpl +equals +0 +\(absent\)/);
  });

  test('that is none is request.malformed', async () => {
    for (const content of [
      '',
      '[',
      'a: *b',
      '{"version":"2.0.0"}',
      '{"version":"1.0.0","anyOf":[]}',
      '{"a":1,"a":2}',
    ]) {
      expect(await reasonOf(softwareTpm(), '--policy', put(content))).toBe('request.malformed');
    }
  });
});

describe('`evidence verify --policy` with a deployment', () => {
  interface Parts {
    readonly measurement?: object;
    readonly policies?: readonly object[];
    readonly platform?: object;
    readonly attesters?: object;
    readonly release?: object;
  }

  const deployment = (parts: Parts = {}) =>
    put({
      apiVersion: 'portcullis/v1',
      kind: 'Deployment',
      metadata: { name: 'llm' },
      policies: [{ sha256: sha256(POLICY).toString('hex') }],
      attesters: { trust: ['pinned'] },
      ...parts,
    });
  const measured = () => softwareTpm(sha256(Buffer.alloc(32), sha256(POLICY)).toString('hex'));

  test('takes the policy that was measured, by its hash or by its file, and claims it', async () => {
    const { said } = await verify(measured(), '--policy', deployment());
    expect(said).toMatchObject({
      ok: true,
      claims: { deployment: 'llm', policy: { sha256: sha256(POLICY).toString('hex') } },
    });
    put(POLICY, 'llm.policy.json');
    expect(await reasonOf(measured(), '--policy', deployment({ policies: [{ file: 'llm.policy.json' }] }))).toBe(
      'accepted',
    );
  });

  test('refuses what it does not accept, each with its reason', async () => {
    expect(await reasonOf(softwareTpm(), '--policy', deployment())).toBe('policy.hash');
    const hash = sha256(POLICY).toString('hex');
    const over = [{ sha256: hash, notAfter: '2026-11-20T00:00:00Z' }];
    expect(await reasonOf(measured(), '--policy', deployment({ policies: over }))).toBe('policy.validity');
    expect(await reasonOf(measured(), '--policy', deployment({ platform: { pcrs: { '4': ['ab'.repeat(32)] } } }))).toBe(
      'policy.pcr',
    );
    const right = { platform: { pcrs: { '4': [pcrValue('sha256', 4)] } } };
    expect(await reasonOf(measured(), '--policy', deployment(right))).toBe('accepted');
    expect(await reasonOf(measured(), '--policy', deployment({ platform: { pcrs: { '7': ['ab'.repeat(32)] } } }))).toBe(
      'quote.pcr_selection',
    );
    const conditions = [{ claim: 'tpm.safe', equals: false }];
    const release = { version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: conditions }] };
    expect(await reasonOf(measured(), '--policy', deployment({ release }))).toBe('policy.claims');
    expect(await reasonOf(measured(), '--policy', deployment({ platform: { gpus: { count: 1 } } }))).toBe('gpu.count');
    expect(
      await reasonOf(measured(), '--policy', deployment({ attesters: { trust: ['cvm-report'], allow: { cvm: [] } } })),
    ).toBe('ak.untrusted');
  });

  test('may come on stdin, as may a release policy; not beside evidence that does', async () => {
    const args = ['evidence', 'verify', put(measured()), '--json', '--policy', '-'];
    put(POLICY, 'llm.policy.json');
    const named = readFileSync(deployment({ policies: [{ file: join(dir, 'llm.policy.json') }] }), 'utf8');
    expect((await portcullis(args, { stdin: named })).code).toBe(0);
    const unmet = '{"version":"1.0.0","anyOf":[{"authority":"portcullis","allOf":[{"claim":"snp","exists":true}]}]}';
    const refused = await portcullis(args, { stdin: unmet });
    expect([refused.code, onlyJson(refused.stdout)['reason']]).toEqual([1, 'policy.claims']);
    expect((await portcullis(['evidence', 'verify', '-', '--policy', '-'], { stdin: named })).code).toBe(2);
  });

  test('that no broker takes is refused, with the reason of the broker', async () => {
    const parts = { measurement: { source: 'snp.host_data' } };
    const { code, said } = await verify(measured(), '--policy', deployment(parts));
    expect(code).toBe(1);
    expect(said).toMatchObject({ ok: false, reason: 'deployment.unsupported' });
    expect(said['detail']).toMatch(/^no broker takes the deployment: measurement\.source snp\.host_data/);
  });

  test('that does not fit its schema is request.malformed', async () => {
    expect(await reasonOf(measured(), '--policy', deployment({ policies: [] }))).toBe('request.malformed');
    expect(await reasonOf(measured(), '--policy', put(Buffer.from([0x6b, 0xff])))).toBe('request.malformed');
    expect(await reasonOf(measured(), '--policy', put('kind: Deployment\n'))).toBe('request.malformed');
  });

  test('goes by certificates of the AK, where the deployment has their root and lets the AK in', async () => {
    const dates = { serial: 1n, notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2027, 0, 1) };
    const pair = derivedKey(Buffer.alloc(32, 1), 'root', 'P-256');
    const root = selfSigned(simulatorName('Root of AKs'), 'P-256', pair, {
      ...dates,
      extensions: [caConstraints(), caUsage()],
    });
    const spki = spkiOf(AK);
    const subject = simulatorName('AK');
    const certificate = issueCertificate(root, { ...dates, subject, spki, extensions: [signingUsage()] });
    put(new X509Certificate(root.certificate).toString(), 'root.pem');
    const attesters = { trust: ['ak-certificate'], roots: ['root.pem'], allow: { ak: [sha256(spki).toString('hex')] } };
    const { tpm } = measured();
    const certified = { tpm: { ...tpm, ak_certificates: [b64(certificate)] } };
    const { said } = await verify(certified, '--policy', deployment({ attesters }));
    expect(said).toMatchObject({ ok: true, claims: { tpm: { ak: { trust: 'ak-certificate' } } } });
    expect(await reasonOf({ tpm }, '--policy', deployment({ attesters }))).toBe('ak.untrusted');
    const late = ['--at', '2027-06-01T00:00:00Z'];
    expect(await reasonOf(certified, '--policy', deployment({ attesters }), ...late)).toBe('ak.untrusted');
    // What an administrator pinned is known to the broker alone: not refused for want of it, and nothing is claimed.
    const open = { ...attesters, trust: ['ak-certificate', 'pinned'] };
    const pinned = await verify({ tpm }, '--policy', deployment({ attesters: open }));
    expect(pinned.code).toBe(0);
    expect(pinned.said).not.toHaveProperty('claims.tpm.ak.trust');
  });

  const MEASUREMENT =
    '5feee30d6d7e1a29f403d70a4198237ddfb13051a2d6976439487c609388ed7f98189887920ab2fa0096903a0c23fca1';
  const HOST_DATA = '4f4448c67f3c8dfc8de8a5e37125d807dadcc41f06cf23f615dbd52eec777d10';
  const milan = () => snp(file('snp/ms-milan/attestation_report.bin'), 'snp/ms-milan/vcek.pem', 'snp/ms-milan/ask.pem');
  const inHostData = (cvm: object, sha = HOST_DATA) =>
    deployment({
      measurement: { source: 'snp.host_data' },
      policies: [{ sha256: sha }],
      attesters: { trust: ['cvm-report'], allow: { cvm: [cvm] } },
    });

  testWithVectors('finds the policy in HOST_DATA, where the launch measurement is allowed', async () => {
    const { said } = await verify(milan(), '--policy', inHostData({ measurement: MEASUREMENT }));
    expect(said).toMatchObject({ ok: true, claims: { policy: { sha256: HOST_DATA } } });
    expect(await reasonOf(milan(), '--policy', inHostData({ measurement: MEASUREMENT }, 'ab'.repeat(32)))).toBe(
      'policy.hash',
    );
    expect(await reasonOf(milan(), '--policy', inHostData({ measurement: 'ab'.repeat(48) }))).toBe('ak.untrusted');
    expect(await reasonOf(milan(), '--policy', inHostData({ measurement: MEASUREMENT, vmpl: 1 }))).toBe('ak.untrusted');
  });

  testWithVectors('says what is accepted of hardware beyond the safe defaults', async () => {
    const quote = tdx(file('tdx/trustee/tdx_quote_4.dat'));
    const allow = { cvm: [{ measurement: 'ab'.repeat(48) }] };
    const parts = { measurement: { source: 'tdx.mrconfigid' }, attesters: { trust: ['cvm-report'], allow } };
    expect(await reasonOf(quote, '--policy', deployment(parts))).toBe('tdx.debug');
    const debug = { ...parts, platform: { tdx: { debug: true } } };
    expect(await reasonOf(quote, '--policy', deployment(debug))).toBe('collateral.unavailable');
    const vlek = snp(file('snp/trustee-milan-vlek/report.bin'), 'snp/trustee-milan-vlek/vlek.der');
    const then = ['--at', '2025-06-01T00:00:00Z'];
    expect(await reasonOf(vlek, '--policy', inHostData({ measurement: MEASUREMENT }), ...then)).toBe('snp.csp');
  });
});

describe('`evidence explain`', () => {
  interface Said {
    readonly seems: string;
    readonly sections: readonly {
      readonly title: string;
      readonly fields: readonly { readonly wrong?: true; readonly name: string }[];
    }[];
    readonly verdict: { readonly ok: boolean; readonly reason?: string };
    readonly evidence?: object;
  }

  async function explain(content: string | Uint8Array | object, ...options: readonly string[]): Promise<Said> {
    const { code, stdout } = await portcullis(['evidence', 'explain', put(content), '--at', AT, '--json', ...options]);
    expect(code).toBe(0);
    return onlyJson(stdout) as unknown as Said;
  }

  const titles = ({ sections }: Said) => sections.map(({ title }) => title);
  const wrong = ({ sections }: Said) =>
    sections.flatMap(({ fields }) => fields.filter((each) => each.wrong).map(({ name }) => name));

  test('shows a quote field by field, and the verdict', async () => {
    const said = await explain(softwareTpm());
    expect(titles(said)).toEqual([
      'TPM quote (TPMS_ATTEST)',
      'Signature of the quote (TPMT_SIGNATURE)',
      'Attestation key (AK)',
      'PCR values',
    ]);
    expect([wrong(said), said.verdict]).toEqual([[], { ok: true }]);
    const people = await portcullis(['evidence', 'explain', put(softwareTpm())]);
    expect(people).toMatchObject({ code: 0, stderr: '' });
    expect(people.stdout).toMatch(/\n +extraData +6e6f6e6365 +\(/);
    expect(people.stdout).toMatch(/\nVerdict: accepted\n$/);
  });

  test('marks what is wrong, and exits with 0 all the same', async () => {
    const { tpm } = softwareTpm();
    const pcrs = { sha256: { ...tpm.pcrs.sha256, '8': '00'.repeat(32) } };
    const said = await explain({ tpm: { ...tpm, pcrs } });
    expect([wrong(said), said.verdict.reason]).toEqual([['digest'], 'quote.pcr_digest']);
    const people = await portcullis(['evidence', 'explain', put({ tpm: { ...tpm, pcrs } })]);
    expect(people.stdout).toMatch(/\n!! +digest +other +WRONG: /);
    expect(people.stdout).toMatch(/\nVerdict: refused, quote\.pcr_digest: .+\n$/);
  });

  test('shows the pieces that decode where another one does not', async () => {
    const said = await explain({ ...softwareTpm(), snp: { certificates: [] }, tokens: ['x'] });
    expect(titles(said)).toEqual(
      expect.arrayContaining(['evidence.snp', 'Attestation key (AK)', 'Attestation token 0']),
    );
    expect(said.verdict).toMatchObject({ ok: false, reason: 'evidence.malformed' });
  });

  test('shows what a token says', async () => {
    const part = (json: object) => b64(Buffer.from(JSON.stringify(json)));
    const token = `${part({ alg: 'none' })}.${part({ iss: 'https://x', exp: 1_700_000_000 })}.AA`;
    const said = await explain({ ...softwareTpm(), tokens: [token, 'a.b'] });
    expect(said.sections.find(({ title }) => title === 'Attestation token 0')?.fields).toEqual([
      { name: 'header alg', value: 'none' },
      { name: 'claim iss', value: 'https://x' },
      { name: 'claim exp', value: '1700000000', note: '2023-11-14T22:13:20.000Z' },
      { name: 'signature', value: '2 characters' },
    ]);
    expect(wrong(said)).toEqual(['structure']);
  });

  test('knows a quote alone', async () => {
    const quoted = Buffer.from(softwareTpm().tpm.quoted, 'base64url');
    for (const content of [quoted, quoted.toString('hex'), quoted.toString('base64'), quoted.toString('base64url')]) {
      const said = await explain(content);
      expect([said.seems, wrong(said)]).toEqual(['a TPM attestation, without its signature', []]);
    }
    expect(wrong(await explain(quoted.subarray(0, -1)))).toEqual(['structure']);
  });

  test('refuses what is no evidence of any kind', async () => {
    for (const content of ['', 'hello', Buffer.alloc(1183), '{}]', '{"a":1}', '[1]', 'ff'.repeat(40)]) {
      const { code, stdout } = await portcullis(['evidence', 'explain', put(content), '--json']);
      expect([code, onlyJson(stdout)['reason']]).toEqual([
        1,
        expect.stringMatching(/^(?:request|evidence)\.malformed$/),
      ]);
    }
  });

  test('says of JSON that is broken what is wrong, and not to run what was run', async () => {
    for (const content of ['{"tpm":', '[1,', '{"tpm":{},"tpm":{}}']) {
      const { code, stderr } = await portcullis(['evidence', 'explain', put(content)]);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^portcullis: request\.malformed: it begins like JSON/),
      ]);
      expect(stderr).not.toContain('evidence explain');
    }
  });

  test('gives the devices of a list of NVIDIA’s tools as `evidence verify` takes them', async () => {
    const { report, certificates } = device(1);
    const pem = certificates.map((der) => new X509Certificate(der).toString()).join('');
    const list = [
      { evidence: report.toString('base64'), certificate: Buffer.from(pem).toString('base64'), nonce: 'x' },
    ];
    const said = await explain(list);
    expect(said.evidence).toEqual({ gpus: [{ report: b64(report), certificates: certificates.map(b64) }] });
    expect(await reasonOf(said.evidence!)).toBe(said.verdict.reason);
    const people = await portcullis(['evidence', 'explain', put(list)]);
    expect(people.stdout).toMatch(/\n`evidence verify` takes it as \{"gpus":\[\{"report":.*--json\n$/);
    const refused = await portcullis(['evidence', 'verify', put(list)]);
    expect(refused.stderr).toMatch(/: a list is no `evidence` member; `portcullis evidence explain FILE` says /);
    expect(await explain(softwareTpm())).not.toHaveProperty('evidence');
  });

  const KINDS: readonly (readonly [string, () => Buffer, RegExp, string])[] = [
    ['an SEV-SNP report', () => file('snp/ms-turin/attestation_report.bin'), /SEV-SNP/, 'snp.chain'],
    ['a TDX quote', () => file('tdx/google-prod-v4/quote.dat'), /TDX quote of version 4/, 'collateral.unavailable'],
    ['a TDX quote of version 5', () => file('tdx/trustee/tdx_quote_5.dat'), /TDX quote of version 5/, 'tdx.service_td'],
    ['an HCL report, SEV-SNP', () => file('azure-hcl/trustee-snp/hcl-report.bin'), /HCL report/, 'snp.chain'],
    ['an HCL report, TDX', () => file('azure-hcl/trustee-tdx/hcl-report.bin'), /HCL report/, 'evidence.malformed'],
    [
      'a measurement report',
      () => Buffer.from(file('gpu/nvtrust-hopper/hopperAttestationReport.txt').toString().trim(), 'hex'),
      /measurement report/,
      'gpu.chain',
    ],
  ];
  testWithVectors.each(KINDS)('knows %s alone, binary, hex or base64', async (_name, bytes, seems, reason) => {
    for (const content of [bytes(), bytes().toString('hex'), `${bytes().toString('base64')}\n`]) {
      const said = await explain(content);
      expect([said.seems, said.verdict]).toMatchObject([expect.stringMatching(seems), { ok: false, reason }]);
      expect(said.sections.length).toBeGreaterThan(1);
    }
  });

  testWithVectors('marks what is wrong with a trust domain that may be debugged', async () => {
    expect(wrong(await explain(file('tdx/trustee/tdx_quote_4.dat'))).length).toBeGreaterThan(0);
    const wrongBit = Buffer.from(file('tdx/google-prod-v4/quote.dat'));
    wrongBit[200]! ^= 1;
    expect(wrong(await explain(wrongBit)).length).toBeGreaterThan(0);
  });

  testWithVectors('shows all pieces of a machine, and the AK that is not the one of its report', async () => {
    const said = await explain(azure('trustee-snp'));
    expect(titles(said)).toEqual(expect.arrayContaining(['SEV-SNP report', 'TPM quote (TPMS_ATTEST)', 'PCR values']));
    expect(said.verdict).toEqual({ ok: true });
    const other = await explain({ ...azure('trustee-snp'), ...softwareTpm() });
    expect([wrong(other), other.verdict.reason]).toEqual([['SPKI SHA-256'], 'hcl.ak_mismatch']);
  });

  testWithVectors('takes a list of devices as the tools of NVIDIA write it', async () => {
    const name = 'gpu/nvat/common/serialized_test_evidence/hopper_evidence.json';
    const said = await explain(file(name));
    const same = await explain({ gpus: devices(name) });
    expect(said.sections).toEqual(same.sections);
    expect(said.verdict).toMatchObject({ ok: false, reason: 'collateral.unavailable' });
    const device = gpu('gpu/nvtrust-hopper/hopperAttestationReport.txt', 'gpu/nvtrust-hopper/hopperCertChain.txt');
    expect(titles(await explain({ gpus: [device, device] })).length).toBeGreaterThan(
      titles(await explain({ gpus: [device] })).length,
    );
  });
});
