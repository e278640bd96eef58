import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { isAtMost, parseTcb, tcbDifferences, tcbText } from '../../../src/evidence/snp/tcb.js';

const bytes = (...values: readonly number[]) => Buffer.from(values);

describe('TCB_VERSION', () => {
  test.each(['Milan', 'Genoa'] as const)('%s has boot loader and TEE first, SNP and microcode last', (generation) => {
    const tcb = parseTcb(bytes(4, 1, 0, 0, 0, 0, 24, 219), generation, 'tcb');
    expect(tcb).toEqual({ bootloader: 4, tee: 1, snp: 24, microcode: 219 });
    expect(tcbText(tcb)).toBe('bootloader 4, tee 1, snp 24, microcode 219');
  });

  test('Turin has the first mutable code before them, and SNP beside them', () => {
    const tcb = parseTcb(bytes(1, 2, 3, 4, 0, 0, 0, 81), 'Turin', 'tcb');
    expect(tcb).toEqual({ fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 81 });
  });

  test.each([
    ['Milan', [2, 3, 4, 5]],
    ['Genoa', [2, 3, 4, 5]],
    ['Turin', [4, 5, 6]],
  ] as const)('what %s has reserved must be zero', (generation, reserved) => {
    const malformed = Array.from({ length: 8 }, (_, index) => index).filter((index) => {
      const tcb = Buffer.alloc(8);
      tcb[index] = 1;
      try {
        parseTcb(tcb, generation, 'tcb');
        return false;
      } catch (error) {
        return error instanceof MalformedError;
      }
    });
    expect(malformed).toEqual(reserved);
  });

  test('cut short it is malformed', () => {
    for (let length = 0; length < 8; length++) {
      expect(() => parseTcb(Buffer.alloc(length), 'Milan', 'tcb')).toThrow(MalformedError);
    }
  });
});

describe('two TCBs', () => {
  const low = { bootloader: 4, tee: 0, snp: 23, microcode: 213 };
  const high = { bootloader: 4, tee: 0, snp: 24, microcode: 213 };
  const crossed = { bootloader: 3, tee: 0, snp: 25, microcode: 213 };

  test('differ by part, not as one number', () => {
    expect(tcbDifferences(low, high)).toEqual(['snp']);
    expect(tcbDifferences(low, crossed)).toEqual(['bootloader', 'snp']);
    expect(tcbDifferences(low, low)).toEqual([]);
    expect(tcbDifferences(low, { ...low, fmc: 0 })).toEqual(['fmc']);
  });

  test('one is at most the other only if it is so in every part', () => {
    expect([isAtMost(low, high), isAtMost(high, low), isAtMost(low, low)]).toEqual([true, false, true]);
    expect([isAtMost(low, crossed), isAtMost(crossed, low)]).toEqual([false, false]);
  });
});
