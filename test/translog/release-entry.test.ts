import { expect, test } from '@jest/globals';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { composeEntry } from '../../src/translog/entry.js';
import { parseReleaseEntry } from '../../src/translog/release-entry.js';
import { AT, EXAMPLES } from './entry-examples.js';

const textWith = (ak_name: string) => composeEntry('release', { ...EXAMPLES.release, ak_name }, AT).text;

test('a release entry names its AK, or says that the Name is unknown, or that there is none', () => {
  for (const name of [`000b${'ab'.repeat(32)}`, `000d${'ab'.repeat(64)}`, 'unknown', 'none']) {
    expect(parseReleaseEntry(textWith(name)).ak_name).toBe(name);
  }
});

test('a release entry with another word for the Name is none, to who writes it and to who reads it', () => {
  const text = textWith('unknown');
  for (const word of ['', 'Unknown', 'unknown ', 'None', '000b', 'unknownunknown', 'unknownnone']) {
    expect(() => textWith(word)).toThrow(/ak_name/);
    const read = text.replace('"ak_name":"unknown"', `"ak_name":"${word}"`);
    if (word !== '000b') expect(() => parseReleaseEntry(read)).toThrow(MalformedError);
  }
});
