/** A condition over a claim that no verifier makes is never met: the pages and the policies that people copy have none. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { OWN_AUTHORITY } from '../../src/claims/claims.js';

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));

const FILES = [
  ...filesBelow('docs').filter((path) => path.endsWith('.md')),
  ...filesBelow('policies').filter((path) => /\.(?:md|ya?ml|json)$/.test(path)),
  'README.md',
];

/** The first column of the table: names, of which `<i>` and `<n>` stand for any number. */
const LISTED = [...readFileSync('docs/CLAIMS.md', 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
const KNOWN = LISTED.map(
  (name) => new RegExp(`^${name.replaceAll('.', '\\.').replace(/<[in]>/g, '(?:0|[1-9][0-9]*)')}$`),
);

const isKnown = (claim: string) => KNOWN.some((name) => name.test(claim));

interface Condition {
  /** Undefined: none stands before it. */
  readonly authority: string | undefined;
  readonly claim: string;
}

/** The conditions of a text in YAML or JSON, or of blocks of these in a page, each under the authority before it. */
function conditionsIn(text: string): readonly Condition[] {
  const member = /(?<=(?:^|[{,]|- )\s*)["']?(authority|claim)["']?\s*:\s*["']?([^\s"',{}[\]]+)/gm;
  let authority: string | undefined;
  return [...text.matchAll(member)].flatMap(([, name, value = '']) => {
    if (name === 'claim') return [{ authority, claim: value }];
    authority = value;
    return [];
  });
}

/** Those that name a claim of ours which does not exist. What tokens of other authorities say, their issuers decide. */
function unknownIn(text: string): readonly string[] {
  return conditionsIn(text)
    .filter(({ authority = OWN_AUTHORITY, claim }) => authority === OWN_AUTHORITY && !isKnown(claim))
    .map(({ claim }) => claim);
}

describe('a condition in a page or a policy', () => {
  test('names a claim that is in the table of docs/CLAIMS.md', () => {
    expect(LISTED.length).toBeGreaterThan(100);
    const texts = FILES.map((file) => [file, readFileSync(file, 'utf8')] as const);
    expect(texts.flatMap(([, text]) => conditionsIn(text)).length).toBeGreaterThan(10);
    expect(texts.flatMap(([file, text]) => unknownIn(text).map((claim) => `${file}: ${claim}`))).toEqual([]);
  });

  test('is found in each way of writing it', () => {
    const written = [
      '- { claim: no.such, equals: true }',
      '- claim: no.such\n  equals: true',
      '{"allOf": [{"claim": "no.such", "equals": true}]}',
      "- { 'claim': 'no.such' }",
      '- {claim: no.such}',
    ];
    for (const text of written) expect(unknownIn(text)).toEqual(['no.such']);
    // Neither prose, nor a schema of the member, is a condition.
    for (const text of ['one claim: its path', 'reclaim: x', '"claim": {\n', 'anything: { notaclaim: x }'])
      expect(conditionsIn(text)).toEqual([]);
  });

  test('may name any device and any register, but nothing below a claim, or half of one', () => {
    const ours = ['gpu.0.mode', 'gpu.15.measurement.3', 'tpm.pcrs.sha256.7', 'tdx.rtmrs.2', 'gpu.count'];
    expect(ours.filter((claim) => !isKnown(claim))).toEqual([]);
    const others = [
      'gpu.mode',
      'gpu.00.mode',
      'gpu.x.mode',
      'gpu.<i>.mode',
      'gpu.0',
      'gpu.count.0',
      'tpm.pcrs',
      'tpmxsafe',
    ];
    expect(others.filter(isKnown)).toEqual([]);
  });

  test('of another authority is its own', () => {
    const authorities = '- authority: https://nras.example\n  allOf: [{ claim: hwmodel }]\n';
    expect(unknownIn(authorities)).toEqual([]);
    expect(unknownIn(`${authorities}- authority: portcullis\n  allOf: [{ claim: hwmodel }]`)).toEqual(['hwmodel']);
  });
});
