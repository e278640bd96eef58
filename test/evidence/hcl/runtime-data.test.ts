import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { claimAt } from '../../../src/claims/claims.js';
import { rsaSpki } from '../../../src/crypto/signature.js';
import { parseRuntimeData } from '../../../src/evidence/hcl/runtime-data.js';

const parse = (value: unknown) =>
  parseRuntimeData(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const modulus = (bytes: number, first = 0x80, last = 1) => {
  const n = Buffer.alloc(bytes);
  n[0] = first;
  n[bytes - 1] = last;
  return n;
};
const jwk = (members: object = {}) => ({
  kid: 'HCLAkPub',
  key_ops: ['sign'],
  kty: 'RSA',
  e: 'AQAB',
  n: modulus(256).toString('base64url'),
  ...members,
});
const withAk = (members: object) => () => parse({ keys: [jwk(members)] });

describe('the AK in runtime data', () => {
  test.each([256, 384, 512])('is an RSA key of %i bytes', (bytes) => {
    const n = modulus(bytes);
    expect(parse({ keys: [jwk({ n: n.toString('base64url') })] }).akSpki).toEqual(rsaSpki(n));
  });

  test('may be marked for encryption, as old paravisors do', () => {
    expect(parse({ keys: [jwk({ key_ops: ['encrypt'] })] }).akSpki).toEqual(rsaSpki(modulus(256)));
  });

  test('is absent where there are no keys, or only others', () => {
    expect(parse({}).akSpki).toBeUndefined();
    expect(parse({ keys: [] }).akSpki).toBeUndefined();
    const other = parse({ keys: [jwk({ kid: 'HCLEkPub' }), jwk({ kid: 'HCLTransferKey', kty: 'EC' })] });
    expect(other.akSpki).toBeUndefined();
    expect(other.ekSpki).toEqual(rsaSpki(modulus(256)));
  });

  test.each([
    ['not RSA', { kty: 'EC' }],
    ['of another exponent', { e: 'Aw' }],
    ['of no exponent', { e: undefined }],
    ['without modulus', { n: undefined }],
    ['with a number for modulus', { n: 5 }],
    ['of 1024 bits', { n: modulus(128).toString('base64url') }],
    ['of 2040 bits', { n: modulus(255).toString('base64url') }],
    ['of 2056 bits', { n: modulus(257).toString('base64url') }],
    ['with a leading zero', { n: modulus(257, 0).toString('base64url') }],
    ['without its top bit', { n: modulus(256, 0x7f).toString('base64url') }],
    ['even', { n: modulus(256, 0x80, 2).toString('base64url') }],
    ['in padded base64url', { n: `${modulus(256).toString('base64url')}==` }],
    ['in base64', { n: Buffer.alloc(256, 0xfb).toString('base64') }],
    ['without kid', { kid: undefined }],
  ])('is malformed when %s', (_name, members) => {
    expect(withAk(members)).toThrow(MalformedError);
  });

  test('may not be there twice', () => {
    const keys = [jwk(), jwk({ n: modulus(384).toString('base64url') })];
    expect(() => parse({ keys })).toThrow(/same kid twice/);
    expect(() => parse(`{"keys":[${JSON.stringify(jwk())}],"keys":[]}`)).toThrow(MalformedError);
    expect(() => parse(`{"keys":[],"k\\u0065ys":[${JSON.stringify(jwk())}]}`)).toThrow(MalformedError);
  });
});

describe('runtime data', () => {
  test.each(['', '[]', '1', 'null', '"keys"', '{"keys":{}}', '{"keys":[1]}', '{"keys":[null]}', '{} x', '\ufeff{}'])(
    'that is %j is malformed',
    (text) => {
      expect(() => parse(text)).toThrow(MalformedError);
    },
  );

  test('has at most eight keys', () => {
    const keys = (count: number) => [...Array(count).keys()].map((n) => ({ kid: String(n) }));
    expect(parse({ keys: keys(8) }).akSpki).toBeUndefined();
    expect(() => parse({ keys: keys(9) })).toThrow(/more than 8/);
  });

  test('is nested at most eight deep', () => {
    const nested = (depth: number) => `{"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(parse(nested(8)).akSpki).toBeUndefined();
    expect(() => parse(nested(9))).toThrow(MalformedError);
  });

  test('is not taken from a prototype', () => {
    const text = `{"__proto__":{"keys":[${JSON.stringify(jwk())}]}}`;
    expect(parse(text).akSpki).toBeUndefined();
  });

  test.each([
    ['upper', 'AB'.repeat(64)],
    ['lower', 'ab'.repeat(64)],
  ])('has 64 bytes of user data in %s case', (_name, text) => {
    expect(parse({ 'user-data': text }).userData).toEqual(Buffer.alloc(64, 0xab));
  });

  test('may have no user data', () => {
    expect(parse({}).userData).toBeUndefined();
    expect(parse({ 'user-data': '' }).userData).toBeUndefined();
  });

  test.each(['ab', 'ab'.repeat(63), 'ab'.repeat(65), 'zz'.repeat(64), `${'00'.repeat(63)}0x`, `x`, 1, null, ['ab']])(
    'with user data %j is malformed',
    (value) => {
      expect(() => parse({ 'user-data': value })).toThrow(MalformedError);
    },
  );

  test('makes nothing but a malformed error of any JSON', () => {
    const names = fc.constantFrom('keys', 'vm-configuration', 'user-data', 'kid', 'kty', 'n', 'e', '__proto__');
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.jsonValue(), fc.dictionary(names, tie('value')), fc.array(tie('value'))),
    })).value;
    fc.assert(
      fc.property(json, (value) => {
        try {
          parse(value);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the configuration of the machine', () => {
  const read = (value: unknown) => parse({ 'vm-configuration': value }).vmConfiguration;
  const settings = (value: unknown) => ({ ...read(value).claims });
  const PROVISIONER = {
    id: '390CBCF5-6C67-4D9B-98EF-C3F1699CC8FC',
    signer: `did:x509:0:sha256:${'ab'.repeat(32)}:subject:Provisioner.Example`,
  };

  test('gives every setting that is known, and passes over the others', () => {
    const found = settings({
      'current-time': 1678652405,
      'root-cert-thumbprint': '6nZZ',
      'console-enabled': true,
      'interactive-console-enabled': false,
      'ipmi-enabled': false,
      'secure-boot': true,
      'tpm-enabled': true,
      'tpm-version': '1.38',
      'tpm-persisted': false,
      'filtered-vpci-devices-allowed': false,
      'vmgs-provisioner': PROVISIONER,
      'hardware-sealing-policy': 'none',
      'key-release-context-hash': 'AB',
      vmUniqueId: 'BAEFD3E1-184B',
      'of-tomorrow': { x: 1 },
    });
    expect(found).toEqual({
      current_time: 1678652405,
      root_cert_thumbprint: '6nZZ',
      console_enabled: true,
      interactive_console_enabled: false,
      ipmi_enabled: false,
      secure_boot: true,
      tpm_enabled: true,
      tpm_version: '1.38',
      tpm_persisted: false,
      filtered_vpci_devices_allowed: false,
      vmgs_provisioner: { id: PROVISIONER.id.toLowerCase(), signer: PROVISIONER.signer },
      hardware_sealing_policy: 'none',
      key_release_context_hash: 'ab',
      vm_unique_id: 'baefd3e1-184b',
    });
  });

  test('leaves out what is null, and may be absent', () => {
    expect(settings({ 'secure-boot': null })).toEqual({});
    expect(settings(undefined)).toEqual({});
  });

  test.each([[[]], [1], [null], ['x']])('that is %j is malformed', (value) => {
    expect(() => settings(value)).toThrow(MalformedError);
  });

  test.each([
    [{ 'secure-boot': 'true' }, 'secure_boot'],
    [{ 'secure-boot': 1 }, 'secure_boot'],
    [{ 'secure-boot': {} }, 'secure_boot'],
    [{ 'current-time': '1' }, 'current_time'],
    [{ 'current-time': 1.5 }, 'current_time'],
    [{ 'current-time': 2 ** 53 }, 'current_time'],
    [{ vmUniqueId: true }, 'vm_unique_id'],
    [{ vmUniqueId: ['x'] }, 'vm_unique_id'],
    [{ vmUniqueId: 'x'.repeat(1025) }, 'vm_unique_id'],
  ])('compares nothing with what %j says, which is there all the same, and reads all others', (odd, name) => {
    const { claims, unread } = read({ 'console-enabled': true, ...odd });
    expect([{ ...claims }, unread]).toEqual([{ console_enabled: true, [name]: {} }, [name]]);
    expect(claimAt(claims, name)).toBeUndefined();
  });

  test('compares nothing with a provisioner in parts that are none', () => {
    const both = ['vmgs_provisioner.id', 'vmgs_provisioner.signer'];
    for (const odd of ['openhcl', 1, ['id'], { id: 1, signer: {} }]) {
      const claims = { vmgs_provisioner: { id: {}, signer: {} } };
      expect(read({ 'vmgs-provisioner': odd })).toEqual({ claims, unread: both });
    }
    expect(read({ 'vmgs-provisioner': {} })).toEqual({ claims: {}, unread: [] });
    expect(read({ 'vmgs-provisioner': null })).toEqual({ claims: {}, unread: [] });
    const { claims, unread } = read({ 'vmgs-provisioner': { ...PROVISIONER, id: 7 } });
    expect([claims, unread]).toEqual([{ vmgs_provisioner: { id: {}, signer: PROVISIONER.signer } }, [both[0]]]);
  });

  test('takes no setting from a prototype', () => {
    const text = '{"vm-configuration":{"__proto__":{"secure-boot":true},"vmgs-provisioner":{"__proto__":{"id":"x"}}}}';
    expect(parse(text).vmConfiguration).toEqual({ claims: {}, unread: [] });
  });

  test('has texts of up to 1024 characters', () => {
    const signer = 'x'.repeat(1024);
    expect(settings({ 'vmgs-provisioner': { signer } })).toEqual({ vmgs_provisioner: { signer } });
  });
});
