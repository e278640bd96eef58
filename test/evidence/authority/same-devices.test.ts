import { describe, expect, test } from '@jest/globals';
import { isRevocable } from '../../../src/endorsement/identity.js';
import { checkSameDevices, deviceIdentity, type NamedDevice } from '../../../src/evidence/authority/same-devices.js';

const gpu = (ueid: string): NamedDevice => ({ kind: 'gpu', ueid });
const nvswitch = (ueid: string): NamedDevice => ({ kind: 'switch', ueid });

describe('devices that tokens name', () => {
  test.each([
    ['are those that answered', [gpu('1'), gpu('2')], [gpu('2'), gpu('1')]],
    ['are some of those that answered', [gpu('1')], [gpu('1'), gpu('2'), nvswitch('3')]],
    ['are of a kind of which none answered', [gpu('1'), nvswitch('9')], [gpu('1')]],
    ['answered in no other way', [gpu('1')], []],
    ['are none', [], [gpu('1')]],
  ])('may stand beside evidence where they %s', (_, named, answered) => {
    expect(checkSameDevices(named, answered).ok).toBe(true);
  });

  test.each([
    ['one is another one', [gpu('1'), gpu('3')], [gpu('1'), gpu('2')], 'the gpu 3,'],
    ['a switch has the number of a GPU', [nvswitch('1')], [gpu('1'), nvswitch('2')], 'the switch 1,'],
    ['the number is written otherwise', [gpu('01')], [gpu('1')], 'the gpu 01,'],
  ])('are unbound where %s', (_, named, answered, detail) => {
    const result = checkSameDevices(named, answered);
    expect(result).toMatchObject({ ok: false, reason: 'evidence.unbound' });
    expect(result).toHaveProperty('detail', expect.stringContaining(detail));
  });
});

describe('what a device is revoked by', () => {
  const of = (number: bigint) => deviceIdentity(gpu(number.toString()));

  test('is its ueid in whole bytes, as hex', () => {
    expect(of(0x53c2d5a18f0000000000000000000000000000b1n)).toBe('chip/53c2d5a18f0000000000000000000000000000b1');
    expect(of(0x3c2d5a18f0000000000000000000000000000b1n)).toBe('chip/03c2d5a18f0000000000000000000000000000b1');
    for (const bytes of [8n, 20n]) expect(isRevocable(of((1n << (8n * bytes)) - 1n) ?? '')).toBe(true);
  });

  test.each(['', '0', '47', '-1', '1e50', `0${'9'.repeat(40)}`, '9'.repeat(50), ' 99999999999999999999999', 'x'])(
    'is nothing where its ueid is %j',
    (ueid) => {
      expect(deviceIdentity(gpu(ueid))).toBeUndefined();
    },
  );
});
