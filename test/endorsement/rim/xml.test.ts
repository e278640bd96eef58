import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import {
  MAX_ATTRIBUTES,
  MAX_DEPTH,
  MAX_ELEMENTS,
  MAX_RIM_BYTES,
  parseXml,
  type XmlElement,
} from '../../../src/endorsement/rim/xml.js';
import { MAX_NAMESPACES } from '../../../src/endorsement/rim/xml-names.js';

const parse = (text: string): XmlElement => parseXml(Buffer.from(text));
const many = (count: number, of: (n: number) => string) => Array.from({ length: count }, (_, n) => of(n)).join('');
const refused = (text: string, why: string | RegExp = '') => {
  expect(() => parse(text)).toThrow(MalformedError);
  expect(() => parse(text)).toThrow(why);
};

describe('what is read', () => {
  test('elements, attributes and text, in their order', () => {
    const root = parse('<a x="1" y=\'2\'>one<b/>two<c>three</c ></a>\n');
    expect(root.attributes.map(({ local, value }) => [local, value])).toEqual([
      ['x', '1'],
      ['y', '2'],
    ]);
    expect(root.children.map((child) => (typeof child === 'string' ? child : child.local))).toEqual([
      'one',
      'b',
      'two',
      'c',
    ]);
  });

  test('names have the namespace that is in scope, attributes without prefix none', () => {
    const root = parse('<a xmlns="urn:d" xmlns:p="urn:p" x="" p:x=""><p:b xmlns:p="urn:q" p:x=""/><c xmlns=""/></a>');
    expect([root.namespace, ...root.attributes.map(({ namespace }) => namespace)]).toEqual(['urn:d', '', 'urn:p']);
    const [b, c] = root.children as XmlElement[];
    expect([b!.namespace, b!.attributes[0]!.namespace, c!.namespace]).toEqual(['urn:q', 'urn:q', '']);
    expect(root.namespaces.get('p')).toBe('urn:p');
  });

  test.each([
    ['predefined entities', '<a>&amp;&lt;&gt;&quot;&apos;</a>', '&<>"\''],
    ['references to characters', '<a>&#65;&#x42;&#x1F600;&#13;</a>', 'AB\u{1F600}\r'],
    ['a reference once only', '<a>&amp;lt;</a>', '&lt;'],
    ['ends of lines', '<a>1\r\n2\r3\n4</a>', '1\n2\n3\n4'],
  ])('%s', (_, text, expected) => {
    expect(parse(text).children).toEqual([expected]);
  });

  test('white space in a value is a space, unless it is written as a reference', () => {
    expect(parse('<a x="1\t2\n3\r\n4&#9;5&#10;6&#xD;7"/>').attributes[0]!.value).toBe('1 2 3 4\t5\n6\r7');
  });

  test.each([
    '<?xml version="1.0"?>',
    "<?xml version='1.0' encoding='utf-8' ?>\n",
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
  ])('the declaration %s may stand in front', (declaration) => {
    expect(parse(`${declaration}<a/>`).local).toBe('a');
  });

  test('comments between elements are left out', () => {
    const root = parse('<!-- <x> --><a><!----><b/> <!-- & --></a><!-- - -->\n');
    expect(root.children).toHaveLength(2);
    expect(root.children[1]).toBe(' ');
  });
});

describe('what is refused', () => {
  test.each([
    ['a DTD', '<!DOCTYPE a><a/>'],
    ['a DTD with entities', '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'],
    ['a DTD behind', '<a/><!DOCTYPE a>'],
    ['an entity that nobody declared', '<a>&e;</a>'],
    ['a lone ampersand', '<a>a & b</a>'],
    ['a reference that is not closed', '<a>&amp</a>'],
    ['a reference to NUL', '<a>&#0;</a>'],
    ['a reference to half of a pair', '<a>&#xD800;</a>'],
    ['a reference beyond Unicode', '<a>&#x110000;</a>'],
    ['a reference to no character', '<a>&#xFFFE;</a>'],
    ['a reference without digits', '<a>&#;</a>'],
    ['a CDATA section', '<a><![CDATA[x]]></a>'],
    ['the end of a CDATA section', '<a>]]></a>'],
    ['a processing instruction', '<a><?x y?></a>'],
    ['a processing instruction in front', '<?x y?><a/>'],
    ['a stylesheet', '<?xml version="1.0"?><?xml-stylesheet href="x"?><a/>'],
    ['XML 1.1', '<?xml version="1.1"?><a/>'],
    ['another encoding', '<?xml version="1.0" encoding="UTF-16"?><a/>'],
    ['a declaration that is not in front', ' <?xml version="1.0"?><a/>'],
    ['a byte order mark', '\ufeff<a/>'],
    ['a control character', '<a>\u0001</a>'],
    ['a character that is none', '<a>\ufffe</a>'],
    ['a comment in text', '<a>1<!-- -->2</a>'],
    ['a comment behind text', '<a>1<!-- --></a>'],
    ['two hyphens in a comment', '<a><!-- -- --></a>'],
    ['a comment that is not closed', '<a/><!-- -'],
    ['a comment of three hyphens', '<a><!---></a>'],
    ['nothing', ''],
    ['no element', 'text'],
    ['text in front', 'x<a/>'],
    ['text behind', '<a/>x'],
    ['two roots', '<a/><b/>'],
    ['an element that is not closed', '<a><b></b>'],
    ['a wrong end tag', '<a><b></a></b>'],
    ['an end tag of another prefix', '<p:a xmlns:p="urn:p" xmlns:q="urn:p"></q:a>'],
    ['an end tag with attributes', '<a></a x="">'],
    ['an attribute without quotes', '<a x=1/>'],
    ['an attribute without value', '<a x/>'],
    ['an attribute that is not closed', '<a x="1/>'],
    ['a < in an attribute', '<a x="<"/>'],
    ['no space between attributes', '<a x="1"y="2"/>'],
    ['a space in front of a name', '< a/>'],
    ['a space in /> ', '<a / >'],
    ['a name that is not ASCII', '<\u00e9/>'],
    ['a name with two colons', '<a:b:c xmlns:a="urn:a"/>'],
    ['a name without local part', '<a: xmlns:a="urn:a"/>'],
    ['a name that starts with a digit', '<1a/>'],
    ['an attribute twice', '<a x="1" x="1"/>'],
    ['an attribute twice by two prefixes', '<a xmlns:p="urn:p" xmlns:q="urn:p" p:x="" q:x=""/>'],
    ['a namespace declared twice', '<a xmlns:p="urn:p" xmlns:p="urn:p"/>'],
    ['a default namespace declared twice', '<a xmlns="urn:p" xmlns="urn:q"/>'],
    ['a prefix that is not declared', '<p:a/>'],
    ['a prefix of an attribute that is not declared', '<a p:x=""/>'],
    ['a prefix declared beside only', '<a><b xmlns:p="urn:p"/><p:c/></a>'],
    ['a prefix that is taken back', '<a xmlns:p="urn:p"><b xmlns:p=""/></a>'],
    ['a relative namespace', '<a xmlns="x"/>'],
    ['xml: attributes', '<a xml:lang="en"/>'],
    ['xml:base', '<a xml:base="urn:x"/>'],
    ['xml: declared', '<a xmlns:xml="http://www.w3.org/XML/1998/namespace"/>'],
    ['xmlns: declared', '<a xmlns:xmlns="urn:x"/>'],
    ['the namespace of xml: under another prefix', '<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>'],
    ['the namespace of xmlns: as default', '<a xmlns="http://www.w3.org/2000/xmlns/"/>'],
    ['an element of xmlns:', '<xmlns:a/>'],
  ])('%s', (_, text) => {
    refused(text);
  });

  test('what is not UTF-8', () => {
    for (const hex of ['ff', 'c080', 'eda080', 'f4908080', 'e282']) {
      const bytes = Buffer.concat([Buffer.from('<a>'), Buffer.from(hex, 'hex'), Buffer.from('</a>')]);
      expect(() => parseXml(bytes)).toThrow('XML: not UTF-8');
    }
  });

  test('every proper prefix of a document', () => {
    const text = '<?xml version="1.0"?><a xmlns:p="urn:p" x="&amp;"><!-- c --><p:b> t </p:b></a>';
    for (let length = 0; length < text.length; length++) refused(text.slice(0, length));
  });
});

describe('the largest of everything is read, one more is refused', () => {
  test('bytes', () => {
    const text = (length: number) => `<a>${'x'.repeat(length - 7)}</a>`;
    expect(parse(text(MAX_RIM_BYTES)).local).toBe('a');
    refused(text(MAX_RIM_BYTES + 1), 'more than 131072 bytes');
  });

  test('depth', () => {
    const nested = (depth: number) => `${many(depth, () => '<a>')}${many(depth, () => '</a>')}`;
    expect(parse(nested(MAX_DEPTH)).local).toBe('a');
    refused(nested(MAX_DEPTH + 1), 'nested too deeply');
  });

  test('elements', () => {
    const row = (count: number) => `<a>${many(count - 1, () => '<b/>')}</a>`;
    expect(parse(row(MAX_ELEMENTS)).children).toHaveLength(MAX_ELEMENTS - 1);
    refused(row(MAX_ELEMENTS + 1), 'too many elements');
  });

  test('attributes', () => {
    const tag = (count: number) => `<a ${many(count, (n) => `x${String(n)}="" `)}/>`;
    expect(parse(tag(MAX_ATTRIBUTES)).attributes).toHaveLength(MAX_ATTRIBUTES);
    refused(tag(MAX_ATTRIBUTES + 1), 'too many attributes');
  });

  test('namespaces in scope', () => {
    const tags = (count: number) =>
      `<a ${many(count - 1, (n) => `xmlns:p${String(n)}="urn:x" `)}><b xmlns="urn:x"/></a>`;
    expect((parse(tags(MAX_NAMESPACES)).children[0] as XmlElement).namespaces.size).toBe(MAX_NAMESPACES);
    refused(tags(MAX_NAMESPACES + 1), 'too many namespaces');
  });

  test('names', () => {
    expect(parse(`<${'a'.repeat(128)}/>`).local).toHaveLength(128);
    refused(`<${'a'.repeat(129)}/>`, 'a name is too long');
  });
});

describe('any input', () => {
  const pieces = fc.constantFrom(
    ...[
      '<a>',
      '</a>',
      '<b/>',
      '<a x="',
      '"',
      ' ',
      '\r\n',
      '&amp;',
      '&#x',
      ';',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?xml ',
    ],
    ...['<!DOCTYPE', 'xmlns="urn:x"', 'xmlns:p="urn:p"', '<p:a', '>', '=', "'", '\u00e9', 'text'],
  );

  test('gives an element or a MalformedError', () => {
    const parses = (bytes: Buffer) => {
      try {
        expect(parseXml(bytes).local).not.toBe('');
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parses(Buffer.from(bytes))));
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => parses(Buffer.from(parts.join('')))),
      { numRuns: 1000 },
    );
  });
});
