import type { Certificate } from '../crypto/x509.js';
import type { HardwareRoots } from '../endorsement/hardware-roots.js';
import { chainUp, crlIssuers, signerOf } from './crl-issuers.js';
import { contradicts, isOfAmd, listsAllOf, undoes } from './conflicts.js';
import { itemsOf, type Pieces } from './items.js';
import { isOfNvidia, nvidiaCrlFile } from './nvidia-crls.js';
import { servedAs } from './rim-names.js';
import { contentOf, isSamePiece, type Piece } from './piece.js';
import { isOlder, type Standing, standingsOf } from './standing.js';
import { isUsable, stateAt } from './state.js';

/**
 * What an import came to for one item. `superseded`: something newer came with it. It was not taken: `older`; `drops`: a CRL without a
 * revocation that is known; `differs`: a manifest that wants other measurements than another good one of its id; `refused`.
 */
export type ImportResult = 'written' | 'unchanged' | 'superseded' | 'older' | 'drops' | 'differs' | 'refused';

export interface Imported {
  readonly standing: Standing;
  readonly result: ImportResult;
  /** Where it is, or would be. */
  readonly file: string;
  /** Why it was not taken. */
  readonly why?: string;
}

/** What is to be written: by file, in this order. */
export interface ImportPlan {
  readonly imported: readonly Imported[];
  readonly writes: ReadonlyMap<string, Buffer>;
}

export interface ImportRules {
  readonly roots: HardwareRoots;
  /** The clock, Unix milliseconds: what is not current is refused. */
  readonly atMs: number;
  /** Whether something older may take the place of something newer, and a CRL that of one with revocations it does not have. */
  readonly allowOlder: boolean;
  /** Whether a manifest may take the place of one that wants other measurements. */
  readonly replaceManifest: boolean;
  /** Why an item is not what was asked for. */
  readonly objection?: (standing: Standing) => string | undefined;
}

/**
 * Decides about each item that comes to a directory: it is taken when a pinned root vouches for it, it is current, and nothing newer
 * about the same thing lies there that a pinned root vouches for, nor anything that it would undo or contradict. CRLs that lie there
 * revoke signers of what comes. What is taken replaces the file that speaks about the same thing, or
 * gets a name of its own; the chain of its signer goes beside it. Nothing is written here.
 */
export function planImport(
  incoming: Pieces,
  held: Pieces,
  { roots, atMs, allowOlder, replaceManifest, objection }: ImportRules,
): ImportPlan {
  const vouchers = { roots, crlIssuers: crlIssuers(roots, incoming, held) };
  const heldItems = itemsOf(held);
  const heldStandings = standingsOf(heldItems, vouchers);
  const newestFirst = standingsOf(itemsOf(incoming, held), {
    ...vouchers,
    crls: heldItems.flatMap((item) => (item.kind === 'crl' ? [item.crl.list] : [])),
  }).toSorted((a, b) => (isOlder(a.edition, b.edition) ? 1 : isOlder(b.edition, a.edition) ? -1 : 0));
  const unfit = new Map(
    newestFirst.map((standing) => [standing, unfitness(standing, atMs) ?? objection?.(standing)] as const),
  );
  const believed = [...heldStandings, ...newestFirst.filter((standing) => unfit.get(standing) === undefined)];
  const changes = new Map<string, Piece>();
  const taken = new Map<string, Standing>();
  const imported = newestFirst.map((standing): Imported => {
    const file = fileFor(standing, heldStandings);
    const untaken = (result: ImportResult, why: string): Imported => ({ standing, file, result, why });
    const why = unfit.get(standing);
    if (why !== undefined) return untaken('refused', why);
    const rival = believed.find((other) => contradicts(standing, other));
    if (rival !== undefined && !replaceManifest) {
      return untaken(
        'differs',
        `${rival.item.file} wants other measurements of ${standing.subject}; --replace-manifest takes it all the same`,
      );
    }
    const before = taken.get(file);
    if (before !== undefined && !(undoes(before, standing) && !allowOlder)) {
      return { standing, file, result: 'superseded' };
    }
    const newer = heldStandings.find((other) => isInTheWay(standing, file, other));
    if (newer !== undefined && !allowOlder) {
      return untaken('older', `${newer.item.file} is newer; --allow-older takes it all the same`);
    }
    const undone = heldStandings.some((other) => other.item.file === file && undoes(standing, other));
    if ((before !== undefined || undone) && !allowOlder) {
      const whose = before === undefined ? file : before.item.file;
      return untaken('drops', `it and ${whose} do not list the same; --allow-older takes the newer one`);
    }
    taken.set(file, standing);
    const files = [...filesOf(standing, file, vouchers)];
    const changed = files.filter(([name, piece]) => !isSamePiece(held.get(name), piece));
    for (const [name, piece] of changed) changes.set(name, piece);
    return { standing, file, result: changed.length === 0 ? 'unchanged' : 'written' };
  });
  const writes = [...chainsToKeep(held, changes), ...changes].map(([name, piece]) => [name, contentOf(piece)] as const);
  return { imported, writes: new Map(writes) };
}

/** Chains that documents which stay would lose to those that come, each as a file of its own: several may use one file. */
function chainsToKeep(held: Pieces, changes: Pieces): Pieces {
  const after = new Map(itemsOf(new Map([...held, ...changes])).map((item) => [item.file, item]));
  const kept = new Map<string, Piece>();
  for (const item of itemsOf(held)) {
    const then = after.get(item.file);
    if (!('document' in item) || changes.has(item.file) || then === undefined || !('document' in then)) continue;
    const chain: Piece = { kind: 'chain', certificates: item.document.issuerChain };
    if (isSamePiece({ kind: 'chain', certificates: then.document.issuerChain }, chain)) continue;
    if (chain.certificates.length > 0) kept.set(chainFileOf(item.file), chain);
  }
  return kept;
}

function chainFileOf(file: string): string {
  return `${file.replace(/\.[^.]*$/, '')}IssuerChain.pem`;
}

function unfitness(standing: Standing, atMs: number): string | undefined {
  const state = stateAt(standing, atMs);
  if (isUsable(state)) return undefined;
  if (standing.fault !== undefined) return standing.fault;
  const { fromMs = 0, untilMs = 0 } = standing;
  return state === 'future' ? `it is good from ${timeOf(fromMs)} only` : `it was good until ${timeOf(untilMs)} only`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** Whether what is held is good and newer than an item that goes to this file, where that takes its place and says nothing more. */
function isInTheWay(standing: Standing, file: string, held: Standing): boolean {
  if (held.topic !== standing.topic || held.fault !== undefined || !isOlder(standing.edition, held.edition))
    return false;
  // Numbers of the CRLs of AMD do not tell which of the two each is: what revokes more is never held off by them.
  return !isOfAmd(standing) || (held.item.file === file && listsAllOf(held, standing));
}

/** The file that speaks about the same thing and about nothing else, or the one that it should have. */
function fileFor(standing: Standing, held: readonly Standing[]): string {
  const own = ownFile(standing);
  const files = held.filter(({ topic }) => topic === standing.topic).map(({ item }) => item.file);
  if (isOfAmd(standing) || files.includes(own)) return own;
  // The name of a manifest may be all that says under which it can be fetched anew: it does not give way to one that does not.
  const served = standing.item.kind === 'rim' ? servedAs(own, standing.subject) : undefined;
  if (served !== undefined) return files.find((file) => servedAs(file, standing.subject) === served) ?? own;
  return files.find((file) => held.filter(({ item }) => item.file === file).length === 1) ?? own;
}

function ownFile({ item, subject, topic }: Standing): string {
  switch (item.kind) {
    case 'tcb-info':
      return `tcbInfo-${subject.replace('TDX ', '')}.json`;
    case 'qe-identity':
      return 'qeIdentity.json';
    case 'rim':
      return `rim/${safe(servedAs(item.file, subject) ?? subject)}.swidtag`;
    case 'crl':
      break;
  }
  const [, ca] = /^Intel SGX PCK (Platform|Processor) CA$/.exec(subject) ?? [];
  if (ca !== undefined) return `pckCrl-${ca.toLowerCase()}.der`;
  if (subject === 'Intel SGX Root CA') return 'rootCaCrl.der';
  const [, generation] = /^ARK-([A-Za-z]+)$/.exec(subject) ?? [];
  if (generation !== undefined) return `amd/${amdKind(item.file, generation)}-${generation}.crl`;
  if (isOfNvidia(subject)) return nvidiaCrlFile(subject);
  return `${safe(subject)}-${safe(topic).slice(-8)}.crl`;
}

/** Nothing in a CRL of AMD says which of the two it is: names are all there is, and where they differ both are kept. */
function amdKind(file: string, generation: string): string {
  const [, kind] = /(?:^|\/)(vcek|vlek)-[^/]*$/i.exec(file) ?? [];
  if (kind !== undefined) return kind.toLowerCase();
  const [, stem] = /^amd\/([^/]+?)(?:\.[^.]*)?$/i.exec(file) ?? [];
  return stem === undefined
    ? 'ark'
    : safe(stem.endsWith(`-${generation}`) ? stem.slice(0, -generation.length - 1) : stem);
}

function safe(text: string): string {
  return text
    .replace(/[^A-Za-z0-9_.-]/g, '_')
    .replace(/^\./, '_')
    .slice(0, 128);
}

/** The item as a file of its own, behind the chain of its signer: a reader between the two has a good pair or none. */
function* filesOf(
  { item }: Standing,
  file: string,
  { crlIssuers: issuers }: { readonly crlIssuers: readonly Certificate[] },
): Generator<readonly [string, Piece]> {
  const chainFile = chainFileOf(file);
  switch (item.kind) {
    case 'tcb-info':
    case 'qe-identity':
      yield [chainFile, { kind: 'chain', certificates: item.document.issuerChain }];
      yield [file, { kind: item.kind, body: item.document.body }];
      break;
    case 'crl': {
      const signer = signerOf(item.crl.list, issuers);
      const isPinned = typeof signer === 'string' || signer.subject.der.equals(signer.issuer.der);
      if (!isPinned) {
        yield [chainFile, { kind: 'chain', certificates: chainUp(signer, issuers).map(({ der }) => der) }];
      }
      yield [file, { kind: 'crls', crls: [item.crl] }];
      break;
    }
    case 'rim':
      yield [file, { kind: 'rim', xml: item.xml }];
  }
}
