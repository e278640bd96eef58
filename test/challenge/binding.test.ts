import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { releaseBinding } from '../../src/challenge/binding.js';

const fields = {
  broker: 'b1',
  deployment: 'llm-inference',
  key: 'weights',
  nonce: 'A'.repeat(43),
  recipient: 'r'.repeat(43),
  version: 'latest',
};

describe('the binding', () => {
  test('is SHA-256 over the canonical JSON, members in order of their names', () => {
    const text = `{"broker":"b1","deployment":"llm-inference","key":"weights","nonce":"${fields.nonce}","purpose":"portcullis/release/v1","recipient":"${fields.recipient}","version":"latest"}`;
    expect(releaseBinding(fields)).toEqual(createHash('sha256').update(text).digest());
  });

  test.each(Object.keys(fields))('differs when %s differs', (name) => {
    expect(releaseBinding({ ...fields, [name]: 'x' })).not.toEqual(releaseBinding(fields));
  });
});
