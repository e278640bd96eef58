import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalXml } from '../../../src/endorsement/rim/c14n.js';
import { parseXml, type XmlElement } from '../../../src/endorsement/rim/xml.js';

const canonical = (text: string): string => canonicalXml(parseXml(Buffer.from(text))).toString();

/** The example documents of Canonical XML 1.1, section 3, without what is refused here, and others by its rules. */
const CASES: readonly (readonly [name: string, text: string, expected: string])[] = [
  ['nothing outside of the root', '<?xml version="1.0"?>\n<!-- c -->\n<doc>x</doc>\n<!-- c -->', '<doc>x</doc>'],
  ['comments within', '<doc><a/><!-- c --> <b/></doc>', '<doc><a></a> <b></b></doc>'],
  ['white space in content', '<doc>\n  <a>  b </a>\r\n</doc>', '<doc>\n  <a>  b </a>\n</doc>'],
  ['white space in tags', "<doc  x = '1'\n y='2' ><a   /></doc >", '<doc x="1" y="2"><a></a></doc>'],
  [
    'attributes by namespace, then by name; declarations first',
    '<e5 xmlns="http://example.org" xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I" attr2="all" b:attr="sorted" a:attr="out"/>',
    '<e5 xmlns="http://example.org" xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I" attr2="all" b:attr="sorted" a:attr="out"></e5>',
  ],
  [
    'declarations by prefix',
    '<a xmlns:z="urn:1" xmlns:b="urn:2" xmlns="urn:3"/>',
    '<a xmlns="urn:3" xmlns:b="urn:2" xmlns:z="urn:1"></a>',
  ],
  [
    'upper case before lower, as code points go',
    '<a b="" B="" a10="" a2="" _="" xmlns:p="urn:p" p:b="" p:B=""/>',
    '<a xmlns:p="urn:p" B="" _="" a10="" a2="" b="" p:B="" p:b=""></a>',
  ],
  [
    'declarations that say nothing new',
    '<a xmlns:p="urn:p"><b xmlns:p="urn:p"><c xmlns:p="urn:q"><d xmlns:p="urn:q"/></c></b></a>',
    '<a xmlns:p="urn:p"><b><c xmlns:p="urn:q"><d></d></c></b></a>',
  ],
  [
    'a default namespace that is taken back, and again',
    '<a xmlns=""><b xmlns="urn:b"><c xmlns=""><d xmlns=""/></c></b></a>',
    '<a><b xmlns="urn:b"><c xmlns=""><d></d></c></b></a>',
  ],
  ['namespaces that are not used', '<a xmlns:p="urn:p"><b/></a>', '<a xmlns:p="urn:p"><b></b></a>'],
  [
    'what is escaped in text',
    '<a>&amp;&lt;&gt;"\'&quot;&apos;&#9;&#10;&#13;&#xE9;</a>',
    '<a>&amp;&lt;&gt;"\'"\'\t\n&#xD;\u00e9</a>',
  ],
  [
    'what is escaped in values',
    '<a x="&amp;&lt;&gt;&quot;\'&#9;&#10;&#13;\t\n&#xE9;"/>',
    '<a x="&amp;&lt;>&quot;\'&#x9;&#xA;&#xD;  \u00e9"></a>',
  ],
  ['characters beyond the first plane', '<a>&#x1F600;\u{1F600}</a>', '<a>\u{1F600}\u{1F600}</a>'],
];

test.each(CASES)('canonical form: %s', (_, text, expected) => {
  expect(canonical(text)).toBe(expected);
  expect(canonical(expected)).toBe(expected);
});

describe('an element in its context', () => {
  const root = parseXml(
    Buffer.from(
      '<a xmlns="urn:d" xmlns:u="urn:u" xmlns:p="urn:p">1<b xmlns:q="urn:q" xmlns:p="urn:r"><c x="1"/></b>2</a>',
    ),
  );
  const [, b] = root.children as [string, XmlElement];

  test('shows all namespaces in scope, and no attributes from above', () => {
    expect(canonicalXml(b.children[0] as XmlElement).toString()).toBe(
      '<c xmlns="urn:d" xmlns:p="urn:r" xmlns:q="urn:q" xmlns:u="urn:u" x="1"></c>',
    );
  });

  test('is left out alone, the text around it stays', () => {
    const expected = '<a xmlns="urn:d" xmlns:p="urn:p" xmlns:u="urn:u">12</a>';
    expect(canonicalXml(root, b).toString()).toBe(expected);
  });

  test('is not mistaken for another one that says the same', () => {
    const twins = parseXml(Buffer.from('<a><b/><b/></a>'));
    expect(canonicalXml(twins, twins.children[1] as XmlElement).toString()).toBe('<a><b></b></a>');
  });
});

/** Documents, with spaces and quotes as they come. */
const name = fc.constantFrom('a', 'B', 'c1', 'p:a', 'q:Z', 'q:a');
const text = fc.constantFrom('', ' ', 'x', '&amp;', '&#13;', '\r\n', '\u00e9', '&lt;', "'", '>');
const attribute = fc.record({ name, value: text, quote: fc.constantFrom('"', "'") });
const declaration = fc.constantFrom(
  '',
  ' xmlns="urn:1"',
  ' xmlns=""',
  ' xmlns:p="urn:2"',
  ' xmlns:q="urn:1"',
  ' xmlns:r="urn:3"',
);
const { document } = fc.letrec<{ document: string; element: string }>((tie) => ({
  element: fc
    .record({
      name,
      declaration,
      attributes: fc.uniqueArray(attribute, { maxLength: 3, selector: (one) => one.name }),
      children: fc.array(fc.oneof(text, tie('element')), { maxLength: 3, depthIdentifier: 'element' }),
    })
    .map(({ name: tag, declaration: xmlns, attributes, children }) => {
      const written = attributes.map(
        (one) => ` ${one.name}=${one.quote}${one.value.replaceAll(one.quote, '')}${one.quote}`,
      );
      return `<${tag}${xmlns}${written.join('')}>${children.join('')}</${tag}>`;
    }),
  document: tie('element').map((element) => `<root xmlns:p="urn:p" xmlns:q="urn:q">${element}</root>`),
}));

/** The canonical form; undefined where an attribute stands twice under two prefixes. */
function canonicalOrNot(source: string): string | undefined {
  try {
    return canonical(source);
  } catch {
    return undefined;
  }
}

test('the canonical form of a canonical form is itself', () => {
  let read = 0;
  fc.assert(
    fc.property(document, (source) => {
      const once = canonicalOrNot(source);
      if (once === undefined) return;
      read++;
      expect(canonical(once)).toBe(once);
    }),
    { numRuns: 500 },
  );
  expect(read).toBeGreaterThan(400);
});

const hasXmllint = spawnSync('xmllint', ['--version']).status === 0;

(hasXmllint ? test : test.skip)('xmllint --c14n11 says the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'c14n-'));
  const file = join(folder, 'document.xml');
  const byXmllint = (source: string) => {
    writeFileSync(file, source);
    return spawnSync('xmllint', ['--c14n11', file]).stdout.toString();
  };
  try {
    const withoutComments = CASES.map(([, source]) => source).filter((source) => !source.includes('<!--'));
    const sources = [...withoutComments, ...fc.sample(document, 100)];
    const ours = sources.map((source) => [source, canonicalOrNot(source)] as const);
    for (const [source, form] of ours) if (form !== undefined) expect(byXmllint(source)).toBe(form);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
