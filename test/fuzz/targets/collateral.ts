import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { readBundle, writeBundle } from '../../../src/collateral/bundle.js';
import { crlIssuers } from '../../../src/collateral/crl-issuers.js';
import { itemsOf } from '../../../src/collateral/items.js';
import { contentOf, isSamePiece, parsePiece, type Piece } from '../../../src/collateral/piece.js';
import { standingsOf } from '../../../src/collateral/standing.js';
import { everything, piecesOf, ROOTS } from '../../collateral/simulated.js';
import type { FuzzTarget } from '../target.js';

const files = everything();
const pieces = piecesOf(files);
const vouchers = { roots: ROOTS, crlIssuers: crlIssuers(ROOTS, pieces) };
const bundle = writeBundle(pieces);

function parsed(input: Buffer): Piece | undefined {
  try {
    return parsePiece(input);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'collateral/piece',
    seeds: [...files.values()],
    run: (input) => {
      const piece = parsed(input);
      if (piece === undefined) return;
      if (!isSamePiece(parsePiece(contentOf(piece)), piece)) throw new Error('another piece when it is written again');
    },
  },
  {
    name: 'collateral/standing',
    seeds: [...files.values()],
    run: (input) => {
      const piece = parsed(input);
      if (piece === undefined) return;
      const found = standingsOf(itemsOf(new Map([...pieces, ['input', piece]])), vouchers);
      // A document or a RIM may be written otherwise, outside of what is signed; a CRL may not.
      if (piece.kind !== 'crls' || [...pieces.values()].some((genuine) => isSamePiece(piece, genuine))) return;
      const isGood = found.some(({ item, fault }) => item.file === 'input' && fault === undefined);
      if (isGood) throw new Error('good, although it was changed');
    },
  },
  {
    name: 'collateral/bundle',
    seeds: [Buffer.from(bundle)],
    run: (input) => {
      try {
        readBundle(input, 'input', () => undefined);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
];
