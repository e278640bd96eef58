import { COMMON_NAME, onlyAttribute } from '../crypto/x509-name.js';
import { parseCertificate } from '../crypto/x509.js';
import type { RevocationList } from '../crypto/x509-crl.js';
import type { SignedDocument } from '../endorsement/collateral.js';
import type { Crl, IssuerChain, Piece } from './piece.js';

/** What files hold, by name: `tcbInfo.json`, `amd/vcek-Milan.crl`, `rim/…`. */
export type Pieces = ReadonlyMap<string, Piece>;

export type DocumentKind = 'tcb-info' | 'qe-identity';

/** One thing that somebody signed, and the file that it stands in. Nothing of it is verified. */
export type Item = { readonly file: string } & (
  | { readonly kind: DocumentKind; readonly document: SignedDocument }
  | { readonly kind: 'crl'; readonly crl: Crl }
  | { readonly kind: 'rim'; readonly xml: Buffer }
);

/**
 * What stands in the files, in their order; several CRLs may stand in one. Chains are part of the documents; `further` has those of
 * documents that come without.
 */
export function itemsOf(pieces: Pieces, further: Pieces = new Map()): readonly Item[] {
  return [...pieces].flatMap(([file, piece]): readonly Item[] => {
    switch (piece.kind) {
      case 'tcb-info':
      case 'qe-identity':
        return [
          {
            file,
            kind: piece.kind,
            document: { body: piece.body, issuerChain: chainOf(file, pieces) ?? chainOf(file, further) ?? NO_CHAIN },
          },
        ];
      case 'crls':
        return piece.crls.map((crl) => ({ file, kind: 'crl', crl }));
      case 'rim':
        return [{ file, kind: 'rim', xml: piece.xml }];
      case 'chain':
        return [];
    }
  });
}

/** The chains that hold the signer of nothing that came with them. */
export function unusedChains(pieces: Pieces): readonly string[] {
  const chains = [...pieces].flatMap(([name, piece]) => (piece.kind === 'chain' ? [{ name, piece }] : []));
  const documents = itemsOf(pieces).flatMap((item) => ('document' in item ? [item.document.issuerChain] : []));
  const signers = new Set(
    [...pieces.values()].flatMap((piece) => (piece.kind === 'crls' ? piece.crls.map(({ list }) => nameOf(list)) : [])),
  );
  const parsed = chains.map(({ name, piece }) => ({
    name,
    piece,
    certificates: piece.certificates.map(parseCertificate),
  }));
  // Each chain may hold who is above the certificates of another one.
  for (let more = 0; more !== signers.size;) {
    more = signers.size;
    for (const certificate of parsed.flatMap(({ certificates }) => certificates)) {
      if (signers.has(certificate.subject.der.toString('latin1'))) signers.add(nameOf(certificate));
    }
  }
  return parsed.flatMap(({ name, piece, certificates }) => {
    const isOfCrl = certificates.some(({ subject }) => signers.has(subject.der.toString('latin1')));
    return isOfCrl || documents.includes(piece.certificates) ? [] : [name];
  });
}

function nameOf({ issuer }: Pick<RevocationList, 'issuer'>): string {
  return issuer.der.toString('latin1');
}

const NO_CHAIN: readonly Buffer[] = [];
const TCB_SIGNER = 'Intel SGX TCB Signing';

/**
 * The chain of the signer of a document: `<name>IssuerChain.pem`, else that of the TCB infos or of the QE identity, else any other
 * chain below TCB Signing. Intel signs both kinds with one key.
 */
function chainOf(file: string, pieces: Pieces): readonly Buffer[] | undefined {
  const stem = file.replace(/\.[^.]*$/, '').toLowerCase();
  const own = stem.startsWith('tcb') ? 'tcbinfo' : 'qeidentity';
  const chains = [...pieces].flatMap(([name, piece]) =>
    piece.kind === 'chain' ? [[name.toLowerCase(), piece] as const] : [],
  );
  for (const start of [stem, own, 'tcbinfo', 'qeidentity']) {
    const found = chains.find(([name]) => name.startsWith(`${start}issuerchain.`));
    if (found !== undefined) return found[1].certificates;
  }
  return chains.find(([, chain]) => isOfTcbSigner(chain))?.[1].certificates;
}

function isOfTcbSigner({ certificates: [signer] }: IssuerChain): boolean {
  if (signer === undefined) return false;
  const name = onlyAttribute(parseCertificate(signer).subject.attributes, COMMON_NAME);
  return name?.endsWith(TCB_SIGNER) === true;
}
