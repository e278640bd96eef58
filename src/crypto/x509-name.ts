import { MalformedError } from '../bytes/malformed-error.js';
import { DerReader, TAG, type DerValue } from './der.js';
import { derOid } from './der-values.js';

const MAX_ATTRIBUTES = 64;

/** Attribute types, X.520. */
export const COMMON_NAME = '2.5.4.3';

/** One attribute of a name: its type as dotted OID; its value as text, or null where it is no string type that is known here. */
export interface NameAttribute {
  readonly oid: string;
  readonly value: string | null;
}

/** A distinguished name. Names are compared by their DER bytes, as received. */
export interface Name {
  readonly der: Buffer;
  readonly attributes: readonly NameAttribute[];
}

/** Name (RFC 5280 section 4.1.2.4). Empty names, and empty RDNs, which some makers write, are for the caller to judge. */
export function readName(reader: DerReader, field: string): Name {
  const { full } = reader.value(TAG.sequence, field);
  const names = new DerReader(full).enter(TAG.sequence, field);
  const attributes: NameAttribute[] = [];
  while (names.more) {
    const rdn = names.enter(TAG.set, `${field} RDN`);
    while (rdn.more) {
      if (attributes.length === MAX_ATTRIBUTES) throw new MalformedError(`${field}: too many attributes`);
      const attribute = rdn.enter(TAG.sequence, `${field} attribute`);
      const oid = derOid(attribute.content(TAG.oid, `${field} type`), `${field} type`);
      const value = textOf(attribute.any(`${field} value`), `${field} value`);
      attribute.end(`${field} attribute`);
      attributes.push({ oid, value });
    }
  }
  return { der: full, attributes };
}

/** The value of the only attribute of this type; undefined where there is none, several, or no text. */
export function onlyAttribute(attributes: readonly NameAttribute[], oid: string): string | undefined {
  const [first, ...others] = attributes.filter((attribute) => attribute.oid === oid);
  return others.length === 0 ? (first?.value ?? undefined) : undefined;
}

function textOf({ tag, content }: DerValue, field: string): string | null {
  switch (tag) {
    case TAG.utf8String:
      return utf8(content, field);
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x14: // TeletexString, by custom Latin-1
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return content.toString('latin1');
    default:
      return null;
  }
}

/** UTF8String. */
export function utf8(content: Buffer, field: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new MalformedError(`${field}: not valid UTF-8`);
  }
}
