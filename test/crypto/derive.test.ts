import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { deriveKey, macOfFields, type KeyPurpose } from '../../src/crypto/derive.js';

const root = Buffer.alloc(32, 7);

describe('keys of the root secret', () => {
  test('are HKDF-SHA-256 with the info of their purpose and epoch', () => {
    const extracted = createHmac('sha256', Buffer.alloc(32)).update(root).digest();
    const info = Buffer.concat([Buffer.from('portcullis/nonce/v1/3'), Buffer.from([1])]);
    expect(deriveKey(root, 'nonce', 3)).toEqual(createHmac('sha256', extracted).update(info).digest());
  });

  test('differ by purpose, epoch and root', () => {
    const purposes: KeyPurpose[] = [
      'nonce',
      'row-mac',
      'token',
      'enrolment',
      'archive',
      'names',
      'kept-checkpoint',
      'simulated-hardware',
    ];
    const keys = purposes.flatMap((purpose) => [1, 2].map((epoch) => deriveKey(root, purpose, epoch).toString('hex')));
    keys.push(deriveKey(Buffer.alloc(32, 8), 'nonce', 1).toString('hex'));
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('a MAC of fields', () => {
  const fields = fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 });

  test('is the same for the same fields, as text or as bytes', () => {
    fc.assert(
      fc.property(fields, (list) => {
        const bytes = list.map((field) => Buffer.from(field, 'utf8'));
        expect(macOfFields(root, bytes)).toEqual(macOfFields(root, list));
      }),
    );
  });

  test('differs for any two different lists of fields', () => {
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b));
        expect(macOfFields(root, a).equals(macOfFields(root, b))).toBe(false);
      }),
    );
    expect(macOfFields(root, ['ab', 'c'])).not.toEqual(macOfFields(root, ['a', 'bc']));
    expect(macOfFields(root, ['a', ''])).not.toEqual(macOfFields(root, ['a']));
  });
});
