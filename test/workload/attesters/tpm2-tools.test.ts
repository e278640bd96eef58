import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import { verifyQuote } from '../../../src/evidence/tpm/quote.js';
import type { TpmEvidenceMember } from '../../../src/workload/attester.js';
import { Tpm2ToolsAttester } from '../../../src/workload/attesters/tpm2-tools.js';
import { AttesterError } from '../../../src/workload/errors.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../../helpers/swtpm.js';
import { ReleaseClient } from '../../../src/workload/release-client.js';
import { testBroker } from '../test-broker.js';

const onSwtpm = swtpmAvailable() ? describe : describe.skip;
const withTools = swtpmAvailable() ? test : test.skip;
const binding = createHash('sha256').update('binding').digest();
const policyHash = createHash('sha256').update('policy').digest();

onSwtpm('with a real swtpm', () => {
  let swtpm: Swtpm;
  beforeAll(async () => {
    swtpm = await startSwtpm();
  });
  afterAll(() => swtpm.close());

  test.each([
    ['rsassa', 0x81010002],
    ['rsapss', 0x81010003],
    ['ecdsa-p256', 0x81010004],
    ['ecdsa-p384', 0x81010005],
  ] as const)('an AK of scheme %s is made once, kept, and quotes what a verifier accepts', async (scheme, akHandle) => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle, scheme });
    const first = await attester.ensureAk();
    expect(first.created).toBe(true);
    const again = await new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle }).ensureAk();
    expect(again).toEqual({ tpm2bPublic: first.tpm2bPublic, created: false });
    expect(await attester.readAkPublic()).toEqual(first.tpm2bPublic);
    expect(parseAk(first.tpm2bPublic)).toMatchObject({ ok: true });

    const evidence = await attester.evidence(binding, { sha256: [0, 4, 7, 8, 23], sha384: [8, 11], sha1: [1] });
    expect(verified(evidence, binding)).toMatchObject({ ok: true });
    expect(verified(evidence, Buffer.alloc(32))).toMatchObject({ ok: false, reason: 'quote.binding' });
    expect(Object.keys(evidence.pcrs['sha256'] ?? {})).toEqual(['0', '4', '7', '8', '23']);
  });

  test('a policy is extended into its PCR, and the quote has the value', async () => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'rsassa' });
    await attester.ensureAk();
    await attester.extendPolicy('sha256', 12, policyHash);
    const { pcrs } = await attester.evidence(binding, { sha256: [12] });
    const expected = createHash('sha256').update(Buffer.alloc(32)).update(policyHash).digest('hex');
    expect(pcrs).toEqual({ sha256: { '12': expected } });
  });

  test('all 24 PCRs of three banks fit in one quote', async () => {
    const all = Array.from({ length: 24 }, (_, index) => index);
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'rsassa' });
    await attester.ensureAk();
    const evidence = await attester.evidence(binding, { sha384: all, sha1: all, sha256: all });
    expect(verified(evidence, binding)).toMatchObject({ ok: true });
    expect(evidence.pcrs['sha256']?.['17']).toBe('ff'.repeat(32));
    expect(evidence.pcrs['sha1']?.['17']).toBe('ff'.repeat(20));
  });

  test('a key is released with its evidence', async () => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'rsassa', akCertificates: ['bGVhZg'] });
    await attester.ensureAk();
    const broker = testBroker();
    const released = await new ReleaseClient({ transport: broker, attester }).release({ deployment: 'd', key: 'k' });
    expect(released.key.kty).toBe('oct');
    expect(broker.bound).toBe(true);
    expect(broker.releases[0]?.evidence.tpm['ak_certificates']).toEqual(['bGVhZg']);
  });

  test('quotes that are asked for at once are made one after the other', async () => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'rsassa' });
    await attester.ensureAk();
    const nonces = [1, 2, 3].map((byte) => Buffer.alloc(32, byte));
    const made = await Promise.all(nonces.map((nonce) => attester.evidence(nonce, { sha256: [8] })));
    made.forEach((evidence, at) => expect(verified(evidence, nonces[at]!)).toMatchObject({ ok: true }));
  });

  test('a bank that is not active is an error here, not a quote without it', async () => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'rsassa' });
    await attester.ensureAk();
    await expect(attester.evidence(binding, { sha256: [8], sha512: [8] })).rejects.toThrow('is every bank active?');
    await expect(attester.evidence(binding, {})).rejects.toThrow('no PCR');
  });

  test('an AK of another scheme than was asked for is refused, and so is a key that is no AK', async () => {
    const handle = 0x81010006;
    await new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: handle, scheme: 'ecdsa-p256' }).ensureAk();
    const other = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: handle, scheme: 'rsassa' });
    await expect(other.ensureAk()).rejects.toThrow('signs with ecdsa and sha256');
    await swtpm.run('tpm2_evictcontrol', '-C', 'o', '-c', swtpm.ekContext, '0x81010007');
    const storage = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: 0x81010007 });
    await expect(storage.ensureAk()).rejects.toThrow('no attestation key');
    await expect(storage.evidence(binding, { sha256: [8] })).rejects.toThrow('no attestation key');
  });

  test('a handle with nothing at it gives no evidence', async () => {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: 0x8101000f });
    await expect(attester.evidence(binding, { sha256: [8] })).rejects.toThrow(AttesterError);
  });

  test('what the tools were given and wrote is gone afterwards, and the TPM holds nothing transient', async () => {
    const left = () =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`portcullis-tpm-${String(process.pid)}-`));
    const before = new Set(left());
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: 0x81010008 });
    await attester.ensureAk();
    await attester.evidence(binding, { sha256: [8] });
    await expect(attester.evidence(binding, { sha512: [8] })).rejects.toThrow(AttesterError);
    expect(left().filter((name) => !before.has(name))).toEqual([]);
    expect(await swtpm.run('tpm2_getcap', 'handles-transient')).toBe('');
  });
});

test('tools that are not installed are named, with what to do', async () => {
  const { PATH } = process.env;
  process.env['PATH'] = '/nonexistent';
  try {
    const attester = new Tpm2ToolsAttester({ tcti: 'device:/dev/tpmrm0' });
    await expect(attester.ensureAk()).rejects.toThrow('apt-get install tpm2-tools');
  } finally {
    process.env['PATH'] = PATH;
  }
});

withTools('a TPM that is not there is an error that names it', async () => {
  const attester = new Tpm2ToolsAttester({ tcti: 'swtpm:host=127.0.0.1,port=1' });
  await expect(attester.ensureAk()).rejects.toThrow('tpm2_getcap failed on swtpm:host=127.0.0.1,port=1');
});

test.each([
  '',
  'simulator',
  'swtpm:',
  'swtpm:host=a',
  'swtpm:host=a;b,port=1',
  'device:tpm0',
  'device:/dev/tpm0,x',
  'mssim:host=a,port=1',
])('%p names no TPM', (tcti) => {
  expect(() => new Tpm2ToolsAttester({ tcti })).toThrow(AttesterError);
});

test.each([0, 0x80ffffff, 0x82000000, 2_164_326_402.5])('%p is no persistent handle', (akHandle) => {
  expect(() => new Tpm2ToolsAttester({ tcti: 'device:/dev/tpmrm0', akHandle })).toThrow(AttesterError);
});

function verified(evidence: TpmEvidenceMember, extraData: Buffer) {
  const bytes = (text: string) => Buffer.from(text, 'base64url');
  const { quoted, signature, ak, pcrs } = evidence;
  const received = { quoted: bytes(quoted), signature: bytes(signature), ak: bytes(ak), akCertificates: [] };
  const needed = Object.entries(pcrs).filter(([bank]) => bank !== 'sha1');
  return verifyQuote(
    { ...received, pcrs },
    {
      extraData,
      neededPcrs: Object.fromEntries(needed.map(([bank, values]) => [bank, Object.keys(values).map(Number)])),
      trust: () => ({ ok: true, value: { kind: 'pinned' } }),
    },
  );
}
