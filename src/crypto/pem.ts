import { fromBase64 } from '../bytes/base64.js';
import { MalformedError } from '../bytes/malformed-error.js';

const BOUNDARY = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----$/;

/**
 * The contents of the PEM blocks of a text (RFC 7468), all of which must have this label; at most `maxBlocks` of at most
 * `maxBytes` each. Text between blocks is skipped. Anything else throws MalformedError, which counts blocks from 1 and
 * quotes nothing: the text may hold a key that was not meant to be there.
 */
export function pemBlocks(text: string, label: string, maxBlocks: number, maxBytes: number): Buffer[] {
  // Four characters for three bytes, line ends, boundaries, and room for what a tool writes between the blocks.
  if (text.length > maxBlocks * (maxBytes * 2 + 4096)) throw new MalformedError('PEM text is too long');
  const blocks: Buffer[] = [];
  let body: string[] | undefined;
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    const boundary = BOUNDARY.exec(trimmed);
    const field = `PEM block ${String(blocks.length + 1)}`;
    if (boundary === null) {
      body?.push(trimmed);
      continue;
    }
    if (boundary[2] !== label) throw new MalformedError(`${field}: not a ${label}`);
    if (boundary[1] === 'BEGIN') {
      if (body !== undefined) throw new MalformedError(`${field}: not closed`);
      if (blocks.length === maxBlocks) throw new MalformedError(`more than ${String(maxBlocks)} PEM blocks`);
      body = [];
    } else {
      if (body === undefined) throw new MalformedError(`${field}: not opened`);
      const bytes = fromBase64(body.join(''), field);
      if (bytes.length > maxBytes) throw new MalformedError(`${field}: more than ${String(maxBytes)} bytes`);
      blocks.push(bytes);
      body = undefined;
    }
  }
  if (body !== undefined) throw new MalformedError(`PEM block ${String(blocks.length + 1)}: not closed`);
  return blocks;
}
