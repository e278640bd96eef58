import type { XmlElement } from './xml.js';
import type { Namespaces, XmlAttribute } from './xml-names.js';

const NO_NAMESPACES: Namespaces = new Map();

/**
 * Canonical XML 1.1 without comments (W3C, http://www.w3.org/2006/12/xml-c14n11) of an element with everything below it, in UTF-8:
 * of the root, which makes it that of the document, or of another element in its context, so that it shows all namespaces that
 * are in scope. `without` is left out with all that is in it. There are no `xml:` attributes to inherit: the parser refuses them.
 */
export function canonicalXml(apex: XmlElement, without?: XmlElement): Buffer {
  const parts: string[] = [];
  write(parts, apex, NO_NAMESPACES, without);
  return Buffer.from(parts.join(''), 'utf8');
}

function write(parts: string[], element: XmlElement, above: Namespaces, without: XmlElement | undefined): void {
  const name = nameOf(element);
  parts.push('<', name);
  for (const [prefix, uri] of shown(element.namespaces, above)) {
    parts.push(prefix === '' ? ' xmlns="' : ` xmlns:${prefix}="`, escapeValue(uri), '"');
  }
  for (const attribute of [...element.attributes].sort(inCanonicalOrder)) {
    parts.push(' ', nameOf(attribute), '="', escapeValue(attribute.value), '"');
  }
  parts.push('>');
  for (const child of element.children) {
    if (typeof child === 'string') parts.push(escapeText(child));
    else if (child !== without) write(parts, child, element.namespaces, without);
  }
  parts.push('</', name, '>');
}

/** The namespaces that are other ones than above, by prefix (section 2.3); the default one comes first. */
function shown(namespaces: Namespaces, above: Namespaces): [string, string][] {
  if (namespaces === above) return [];
  return [...namespaces].filter(([prefix, uri]) => uri !== (above.get(prefix) ?? '')).sort(([a], [b]) => compare(a, b));
}

/** By namespace, then by name (section 2.2): those without a namespace come first. All of it is ASCII. */
function inCanonicalOrder(a: XmlAttribute, b: XmlAttribute): number {
  return compare(a.namespace, b.namespace) || compare(a.local, b.local);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function nameOf({ prefix, local }: { readonly prefix: string; readonly local: string }): string {
  return prefix === '' ? local : `${prefix}:${local}`;
}

const IN_TEXT: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#xD;' };
const IN_VALUE: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '"': '&quot;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};

function escapeText(text: string): string {
  return text.replace(/[&<>\r]/g, (character) => IN_TEXT[character] ?? '');
}

function escapeValue(text: string): string {
  return text.replace(/[&<"\t\n\r]/g, (character) => IN_VALUE[character] ?? '');
}
