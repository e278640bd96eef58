import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate, type Certificate } from '../../../src/crypto/x509.js';
import { SGX_EXTENSION } from '../../../src/evidence/tdx/constants.js';
import { pckPlatform } from '../../../src/evidence/tdx/pck.js';
import { boolean, enumerated, integer, octetString, oid, sequence } from '../../../src/simulator/der.js';
import { SIMULATED_COMPONENTS, SIMULATED_FMSPC } from '../../../src/simulator/tdx-pck.js';
import { td } from './td-world.js';

const leaf = parseCertificate(td().certificates[0]!);
const member = (id: string, value: Buffer) => sequence(oid(`${SGX_EXTENSION}.${id}`), value);

/** The PCK certificate with another SGX extension. Nothing is signed anew: only the parser is looked at. */
function withExtension(value: Buffer): Certificate {
  const extensions = new Map(leaf.extensions);
  extensions.set(SGX_EXTENSION, { oid: SGX_EXTENSION, critical: false, value });
  return { ...leaf, extensions };
}

type Members = Readonly<Record<string, Buffer>>;

const TCB: Members = {
  ...Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`2.${String(index + 1)}`, integer(index)])),
  '2.17': integer(13),
  '2.18': octetString(Buffer.alloc(16, 1)),
};
const MEMBERS: Members = {
  '1': octetString(Buffer.alloc(16, 2)),
  '3': octetString(Buffer.alloc(2)),
  '4': octetString(Buffer.alloc(6, 3)),
  '5': enumerated(0),
};

function extension(changes: Members = {}, tcb: Members = {}, ...more: readonly Buffer[]): Buffer {
  const list = (members: Members) => Object.entries(members).map(([id, value]) => member(id, value));
  const inner = sequence(...list({ ...TCB, ...tcb }));
  return sequence(...list({ ...MEMBERS, '2': inner, ...changes }), ...more);
}

describe('the SGX extension of a PCK certificate', () => {
  test('says which platform it is', () => {
    expect(pckPlatform(leaf)).toMatchObject({
      ppid: td().ppid,
      components: SIMULATED_COMPONENTS,
      pceSvn: 13,
      fmspc: SIMULATED_FMSPC,
      sgxType: 'scalable',
      dynamicPlatform: true,
      cachedKeys: true,
      smtEnabled: true,
    });
    expect(pckPlatform(leaf)).toBe(pckPlatform(leaf));
  });

  test('may leave out what platforms of one package do not have, and have members that are not known', () => {
    const platform = pckPlatform(withExtension(extension({}, {}, member('9', boolean(true)))));
    expect(platform).toMatchObject({ sgxType: 'standard', platformInstanceId: undefined, smtEnabled: undefined });
  });

  test.each([
    ['a PPID of another length', extension({ '1': octetString(Buffer.alloc(15)) })],
    ['a FMSPC of another length', extension({ '4': octetString(Buffer.alloc(7)) })],
    ['a PCE id of another length', extension({ '3': octetString(Buffer.alloc(3)) })],
    ['a type that is not known', extension({ '5': enumerated(3) })],
    ['a PPID of another type', extension({ '1': integer(1) })],
    ['a component above 255', extension({}, { '2.1': integer(256) })],
    ['a PCE SVN above 65535', extension({}, { '2.17': integer(65536) })],
    ['a negative component', extension({}, { '2.1': Buffer.from('020180', 'hex') })],
    ['a CPUSVN of another length', extension({}, { '2.18': octetString(Buffer.alloc(17)) })],
    ['a member twice', extension({}, {}, member('1', octetString(Buffer.alloc(16, 9))))],
    ['a member of another kind', extension({}, {}, sequence(oid('1.2.3'), integer(1)))],
    ['bytes behind it', Buffer.concat([extension(), Buffer.of(0)])],
    ['a configuration of another type', extension({ '7': sequence(member('7.3', integer(1))) })],
    [
      'too many members',
      extension({}, {}, ...Array.from({ length: 40 }, (_, i) => member(String(i + 20), integer(1)))),
    ],
  ])('with %s is malformed', (_, value) => {
    expect(() => pckPlatform(withExtension(value))).toThrow(MalformedError);
  });

  test('without any one member of the TCB is malformed, and without PPID, PCE id, FMSPC or type', () => {
    for (const id of [...Object.keys(TCB), ...Object.keys(MEMBERS), '2']) {
      const without = (members: Members) => Object.entries(members).filter(([name]) => name !== id);
      const list = (entries: readonly (readonly [string, Buffer])[]) =>
        entries.map(([name, value]) => member(name, value));
      const tcb = id === '2' ? [] : [member('2', sequence(...list(without(TCB))))];
      const value = sequence(...list(without(MEMBERS)), ...tcb);
      expect(() => pckPlatform(withExtension(value))).toThrow(/missing/);
    }
  });

  test('which is not there is a certificate of something else', () => {
    expect(() => pckPlatform({ ...leaf, extensions: new Map() })).toThrow(MalformedError);
  });

  test('of any bytes throws nothing but MalformedError', () => {
    const good = extension();
    for (let length = 0; length < good.length; length++) {
      expect(() => pckPlatform(withExtension(good.subarray(0, length)))).toThrow(MalformedError);
    }
    const changed = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
      const copy = Buffer.from(good);
      copy[at] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 200 })), (input) => {
        try {
          pckPlatform(withExtension(Buffer.from(input)));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});
