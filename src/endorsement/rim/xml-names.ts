import { MalformedError } from '../../bytes/malformed-error.js';

/** In scope at one element, the default namespace among them. */
export const MAX_NAMESPACES = 32;

/** By prefix, '' for the default namespace. */
export type Namespaces = ReadonlyMap<string, string>;

export interface XmlAttribute {
  /** '' without prefix. */
  readonly prefix: string;
  readonly local: string;
  /** '' without prefix: the default namespace is not for attributes. */
  readonly namespace: string;
  /** Normalized, references replaced. */
  readonly value: string;
}

/** A start tag as it was read: names are not yet looked up. */
export interface StartTag {
  readonly name: QualifiedName;
  readonly attributes: readonly { readonly name: QualifiedName; readonly value: string }[];
  readonly isEmpty: boolean;
}

export interface QualifiedName {
  readonly prefix: string;
  readonly local: string;
}

/** Absolute, of printable ASCII: Canonical XML refuses relative ones. */
const NAMESPACE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]*$/;
/** xml: and xmlns: have a meaning of their own, in any case of letters. */
const RESERVED = /^xml/i;
const RESERVED_URIS = ['http://www.w3.org/XML/1998/namespace', 'http://www.w3.org/2000/xmlns/'];

function declaredPrefix({ prefix, local }: QualifiedName): string | undefined {
  if (prefix === 'xmlns') return local;
  return prefix === '' && local === 'xmlns' ? '' : undefined;
}

/** The scope above, and what the tag declares. */
export function scopeOf({ attributes }: StartTag, scope: Namespaces): Namespaces {
  let own: Map<string, string> | undefined;
  const seen = new Set<string>();
  for (const { name, value } of attributes) {
    const prefix = declaredPrefix(name);
    if (prefix === undefined) continue;
    if (seen.has(prefix)) throw new MalformedError('XML: a namespace is declared twice');
    seen.add(prefix);
    const isTakenBack = prefix === '' && value === '';
    if (RESERVED.test(prefix) || RESERVED_URIS.includes(value) || !(isTakenBack || NAMESPACE_URI.test(value))) {
      throw new MalformedError('XML: a namespace that may not be declared so');
    }
    own ??= new Map(scope);
    own.set(prefix, value);
    if (own.size > MAX_NAMESPACES) throw new MalformedError('XML: too many namespaces');
  }
  return own ?? scope;
}

/** Those that declare no namespace. No two may have the same expanded name. */
export function attributesOf({ attributes }: StartTag, scope: Namespaces): XmlAttribute[] {
  const found: XmlAttribute[] = [];
  const seen = new Set<string>();
  for (const { name, value } of attributes) {
    if (declaredPrefix(name) !== undefined) continue;
    const { prefix, local } = name;
    const namespace = prefix === '' ? '' : namespaceOf(prefix, scope);
    const expanded = `${namespace} ${local}`;
    if (seen.has(expanded)) throw new MalformedError('XML: an attribute stands twice');
    seen.add(expanded);
    found.push({ prefix, local, namespace, value });
  }
  return found;
}

/** That of an element's prefix, '' for none. An attribute without prefix is in no namespace. */
export function namespaceOf(prefix: string, scope: Namespaces): string {
  const namespace = scope.get(prefix);
  if (namespace === undefined && prefix !== '') throw new MalformedError('XML: a prefix that is not declared');
  return namespace ?? '';
}
