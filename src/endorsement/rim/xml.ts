import { isUtf8 } from 'node:buffer';
import { MalformedError } from '../../bytes/malformed-error.js';
import {
  attributesOf,
  namespaceOf,
  type Namespaces,
  type QualifiedName,
  scopeOf,
  type StartTag,
  type XmlAttribute,
} from './xml-names.js';
import { decodeReferences } from './xml-references.js';

/** The largest manifest that is read, in bytes. NVIDIA's have 20 to 26 KB. */
export const MAX_RIM_BYTES = 131_072;
export const MAX_DEPTH = 16;
export const MAX_ELEMENTS = 1024;
/** Of one element, namespace declarations among them. */
export const MAX_ATTRIBUTES = 64;
const MAX_NAME = 128;

export interface XmlElement {
  readonly prefix: string;
  readonly local: string;
  /** '' in none. */
  readonly namespace: string;
  /** Declared here or above; '' is there with an empty value where the default namespace was taken back. */
  readonly namespaces: Namespaces;
  /** In the order of the document, declarations of namespaces left out. */
  readonly attributes: readonly XmlAttribute[];
  /** Elements and text, references replaced; comments left out. */
  readonly children: readonly (XmlElement | string)[];
}

/** Anything that is no Char of XML 1.0 production 2; half of a surrogate pair cannot come out of UTF-8. */
const NO_CHAR = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;
const DECLARATION =
  /^<\?xml[ \t\n]+version[ \t\n]*=[ \t\n]*(?:"1\.0"|'1\.0')(?:[ \t\n]+encoding[ \t\n]*=[ \t\n]*(?:"UTF-8"|'UTF-8'|"utf-8"|'utf-8'))?(?:[ \t\n]+standalone[ \t\n]*=[ \t\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\n]*\?>/;
const SPACE = /[ \t\n]*/y;
/** ASCII alone, which orders the same by code point and by UTF-16. */
const NAME = /(?:([A-Za-z_][A-Za-z0-9._-]*):)?([A-Za-z_][A-Za-z0-9._-]*)(?=[ \t\n=/>])/y;

/**
 * Parses the subset of XML 1.0 (fifth edition) with Namespaces 1.0 that reference manifests are written in, in time linear in the
 * input: UTF-8 without byte order mark, an XML declaration, elements, attributes, text, comments, the five predefined entities
 * and character references. DTDs, other processing instructions, CDATA sections, names that are not ASCII, `xml:` attributes,
 * comments beside text, and what is over a maximum throw MalformedError, as does what is not well-formed.
 */
export function parseXml(bytes: Buffer): XmlElement {
  if (bytes.length > MAX_RIM_BYTES) throw new MalformedError(`XML: more than ${String(MAX_RIM_BYTES)} bytes`);
  if (!isUtf8(bytes)) throw new MalformedError('XML: not UTF-8');
  // XML 1.0 section 2.11: the end of a line is one line feed, before anything is parsed.
  const text = bytes.toString('utf8').replace(/\r\n?/g, '\n');
  if (NO_CHAR.test(text)) throw new MalformedError('XML: a character that is not allowed');
  return new XmlParser(text).document();
}

class XmlParser {
  readonly #text: string;
  #at = 0;
  #elements = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): XmlElement {
    this.#at = DECLARATION.exec(this.#text)?.[0].length ?? 0;
    this.#misc();
    const root = this.#element(new Map(), 1);
    this.#misc();
    if (this.#at !== this.#text.length) throw new MalformedError('XML: something behind the root element');
    return root;
  }

  /** Space and comments outside of the root. */
  #misc(): void {
    do this.#match(SPACE);
    while (this.#comment());
  }

  #element(scope: Namespaces, depth: number): XmlElement {
    if (depth > MAX_DEPTH) throw new MalformedError('XML: nested too deeply');
    if (++this.#elements > MAX_ELEMENTS) throw new MalformedError('XML: too many elements');
    const tag = this.#startTag();
    const namespaces = scopeOf(tag, scope);
    const { prefix, local } = tag.name;
    return {
      prefix,
      local,
      namespace: namespaceOf(prefix, namespaces),
      namespaces,
      attributes: attributesOf(tag, namespaces),
      children: tag.isEmpty ? [] : this.#content(tag.name, namespaces, depth),
    };
  }

  #startTag(): StartTag {
    this.#expect('<');
    const name = this.#name();
    const attributes: { name: QualifiedName; value: string }[] = [];
    for (;;) {
      const spaced = this.#match(SPACE).length > 0;
      if (this.#skip('>')) return { name, attributes, isEmpty: false };
      if (this.#skip('/>')) return { name, attributes, isEmpty: true };
      if (!spaced) throw new MalformedError('XML: no space before an attribute');
      if (attributes.length === MAX_ATTRIBUTES) throw new MalformedError('XML: too many attributes');
      attributes.push({ name: this.#name(), value: this.#value() });
    }
  }

  /** `=` and what is quoted behind it. */
  #value(): string {
    this.#match(SPACE);
    this.#expect('=');
    this.#match(SPACE);
    const quote = this.#text[this.#at];
    if (quote !== '"' && quote !== "'") throw new MalformedError('XML: an attribute without quotes');
    const raw = this.#until(quote, this.#at + 1, 'an attribute');
    if (raw.includes('<')) throw new MalformedError('XML: < in an attribute');
    // Section 3.3.3: white space that is written as such becomes a space, what is written as a reference stays.
    return decodeReferences(raw.replace(/[\t\n]/g, ' '));
  }

  #content(name: QualifiedName, scope: Namespaces, depth: number): (XmlElement | string)[] {
    const children: (XmlElement | string)[] = [];
    let hasComment = false;
    for (;;) {
      const end = this.#text.indexOf('<', this.#at);
      if (end < 0) throw new MalformedError('XML: an element is not closed');
      const raw = this.#text.slice(this.#at, end);
      if (raw.includes(']]>')) throw new MalformedError('XML: ]]> in text');
      if (raw !== '') children.push(decodeReferences(raw));
      this.#at = end;
      if (this.#skip('</')) break;
      if (this.#comment()) hasComment = true;
      else children.push(this.#element(scope, depth + 1));
    }
    const { prefix, local } = this.#name();
    if (prefix !== name.prefix || local !== name.local) throw new MalformedError('XML: an end tag of another element');
    this.#match(SPACE);
    this.#expect('>');
    // Nothing that is not signed stands within a value.
    if (hasComment && !children.every((child) => typeof child !== 'string' || isSpace(child))) {
      throw new MalformedError('XML: a comment beside text');
    }
    return children;
  }

  /** Skips one comment, if one is next. */
  #comment(): boolean {
    if (!this.#text.startsWith('<!--', this.#at)) return false;
    this.#until('--', this.#at + 4, 'a comment');
    this.#expect('>');
    return true;
  }

  #name(): QualifiedName {
    NAME.lastIndex = this.#at;
    const match = NAME.exec(this.#text);
    if (match === null) throw new MalformedError('XML: no name where one is expected');
    if (match[0].length > MAX_NAME) throw new MalformedError('XML: a name is too long');
    this.#at += match[0].length;
    return { prefix: match[1] ?? '', local: match[2] ?? '' };
  }

  #match(sticky: RegExp): string {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  /** Everything from `start` to the mark, behind which reading goes on. */
  #until(mark: string, start: number, field: string): string {
    const end = this.#text.indexOf(mark, start);
    if (end < 0) throw new MalformedError(`XML: ${field} is not closed`);
    this.#at = end + mark.length;
    return this.#text.slice(start, end);
  }

  #skip(literal: string): boolean {
    const found = this.#text.startsWith(literal, this.#at);
    if (found) this.#at += literal.length;
    return found;
  }

  #expect(literal: string): void {
    if (!this.#skip(literal)) throw new MalformedError(`XML: ${literal} is expected`);
  }
}

/** Whether all of it is white space. */
export function isSpace(text: string): boolean {
  return /^[ \t\n\r]*$/.test(text);
}
