import { MalformedError } from '../../bytes/malformed-error.js';

const PREDEFINED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const REFERENCE = /&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));|&/g;

/** Replaces references to the five predefined entities and to characters (XML 1.0 section 4.1); any other & is malformed. */
export function decodeReferences(raw: string): string {
  if (!raw.includes('&')) return raw;
  return raw.replace(REFERENCE, (_, entity?: string, decimal?: string, hex?: string) => {
    if (entity !== undefined) return PREDEFINED[entity] ?? '';
    const code = decimal === undefined ? parseInt(hex ?? '', 16) : Number(decimal);
    if (!isChar(code)) throw new MalformedError('XML: a reference that is not allowed');
    return String.fromCodePoint(code);
  });
}

/** Char, production 2; NaN is none. */
function isChar(code: number): boolean {
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd;
  return code <= 0xd7ff || (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
}
