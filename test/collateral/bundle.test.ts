import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { readBundle, writeBundle } from '../../src/collateral/bundle.js';
import { isSamePiece } from '../../src/collateral/piece.js';
import { everything, piecesOf, tcbInfo } from './simulated.js';

const PIECES = piecesOf(everything());
const TEXT = writeBundle(PIECES);
const fails = () => {
  throw new Error('nothing was to be left out');
};

interface Bundle {
  apiVersion: string;
  kind: string;
  files: Record<string, unknown>[];
}

function changed(change: (bundle: Bundle) => void): Buffer {
  const bundle = JSON.parse(TEXT) as Bundle;
  change(bundle);
  return Buffer.from(JSON.stringify(bundle));
}

describe('a bundle', () => {
  test('holds every piece with its name, so that it is read again as the same', () => {
    const read = readBundle(Buffer.from(TEXT), 'x', fails);
    expect([...read.keys()]).toEqual([...PIECES.keys()]);
    for (const [name, piece] of PIECES) expect(isSamePiece(read.get(name), piece)).toBe(true);
  });

  test('is one in whatever order its members stand, and behind white space', () => {
    const { files, kind, apiVersion } = JSON.parse(TEXT) as Bundle;
    const sorted = JSON.stringify({ apiVersion, files, kind });
    expect(sorted.indexOf('"CollateralBundle"')).toBeGreaterThan(1024);
    for (const text of [sorted, `\n${TEXT}`, ` \r\n\t${sorted}\n`]) {
      expect([...readBundle(Buffer.from(text), 'x', fails).keys()]).toEqual([...PIECES.keys()]);
    }
  });

  test('may be one piece alone, by the name of its file', () => {
    const read = readBundle(tcbInfo(), 'tcbInfo.json', fails);
    expect([...read].map(([name, { kind }]) => [name, kind])).toEqual([['tcbInfo.json', 'tcb-info']]);
  });

  test('with a file that is no collateral is read without it, which is told', () => {
    const left: string[] = [];
    const bytes = changed(({ files }) => {
      const content = Buffer.from('{}');
      files[0] = {
        name: 'a.json',
        sha256: '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
        content: content.toString('base64'),
      };
    });
    const read = readBundle(bytes, 'x', (name, error) => void left.push(`${name}: ${error.message}`));
    expect(read.size).toBe(PIECES.size - 1);
    expect(left).toEqual([expect.stringMatching(/^a\.json: neither TCB info/)]);
  });

  test.each([
    ['of another version', (bundle: Bundle) => (bundle.apiVersion = 'portcullis/v2'), 'another version'],
    ['without files', (bundle: Bundle) => (bundle.files = {} as never), 'another version'],
    [
      'of too many files',
      (bundle: Bundle) => (bundle.files = Array<Bundle['files'][number]>(513).fill(bundle.files[0]!)),
      'more than 512 files',
    ],
    ['with one file twice', (bundle: Bundle) => (bundle.files[1] = bundle.files[0]!), 'twice'],
    ['of damaged content', (bundle: Bundle) => (bundle.files[0]!['content'] = 'AAAA'), 'not of its SHA-256'],
    ['of content that is no base64', (bundle: Bundle) => (bundle.files[0]!['content'] = '*'), 'base64'],
    ['without a hash', (bundle: Bundle) => delete bundle.files[0]!['sha256'], 'incomplete'],
    [
      'with more than is known',
      (bundle: Bundle) => (bundle.files[0]!['mode'] = 511),
      'without a name that can be used',
    ],
    ['with null for a file', (bundle: Bundle) => (bundle.files[0] = null as never), 'without a name that can be used'],
    ...['../x.json', '/etc/passwd', 'amd/../../x', '.x', 'other/x.json', 'amd\\x', '', 'a'.repeat(161)].map(
      (name) =>
        [
          `with a file called ${name}`,
          (bundle: Bundle) => (bundle.files[0]!['name'] = name),
          'without a name',
        ] as const,
    ),
  ])('%s is malformed', (_, change, why) => {
    const bytes = changed(change);
    expect(() => readBundle(bytes, 'x', fails)).toThrow(MalformedError);
    expect(() => readBundle(bytes, 'x', fails)).toThrow(why);
  });

  test('cut short is malformed, and so is what is too large', () => {
    for (const length of [40, 1000, TEXT.length - 3]) {
      expect(() => readBundle(Buffer.from(TEXT.slice(0, length)), 'x', fails)).toThrow(MalformedError);
    }
    expect(() => readBundle(Buffer.alloc(64 * 1024 * 1024 + 1, 0x20), 'x', fails)).toThrow('more than 67108864 bytes');
  });

  test('of any JSON throws nothing but MalformedError', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (files) => {
        const text = JSON.stringify({ apiVersion: 'portcullis/v1', kind: 'CollateralBundle', files });
        try {
          readBundle(Buffer.from(text), 'x', () => undefined);
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
        }
      }),
    );
  });
});
