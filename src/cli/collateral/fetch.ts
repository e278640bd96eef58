import { Downloader } from './download.js';
import { fetchAll } from './fetch-all.js';
import { crlIssuers } from '../../collateral/crl-issuers.js';
import { isOfNvidia, NVIDIA_CRLS } from '../../collateral/nvidia-crls.js';
import { servedAs } from '../../collateral/rim-names.js';
import { type Source, sourcesOf } from '../../collateral/sources.js';
import { isRimId, MAKERS_ORIGINS, type Origins, type Wanted } from '../../collateral/wanted.js';
import type { Standing } from '../../collateral/standing.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import {
  AMD_GENERATIONS,
  type AmdGeneration,
  type HardwareRoots,
  PINNED_ROOTS,
} from '../../endorsement/hardware-roots.js';
import type { CliContext } from '../context.js';
import { type Outcome, UsageError } from '../outcome.js';
import { importInto, importOutcome } from './import.js';
import { type PlaceOptions, placeOf, readCollateral } from './place.js';
import { judgementOf } from './status.js';

export interface FetchOptions extends PlaceOptions {
  readonly fmspc?: readonly string[];
  readonly amd?: readonly AmdGeneration[];
  readonly rim?: readonly string[];
  readonly nvidiaCrls?: true;
  readonly from?: readonly (readonly [keyof Origins, string])[];
  readonly allowOlder?: true;
  readonly replaceManifest?: true;
}

/** Fetches collateral from its makers and imports it. Without anything named, what is there is fetched anew. */
export async function fetchCollateral(
  context: CliContext,
  options: FetchOptions,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<Outcome> {
  const dir = placeOf(context, options);
  const origins: Origins = { ...MAKERS_ORIGINS, ...Object.fromEntries(options.from ?? []) };
  const isNamed = [options.fmspc, options.amd, options.rim, options.nvidiaCrls].some((named) => named !== undefined);
  const { wanted, unknown } = isNamed
    ? { wanted: await wantedByName(dir, options, roots), unknown: [] }
    : await wantedAnew(dir, roots);
  const sources = sourcesOf(wanted, origins);
  if (sources.length + unknown.length === 0) {
    throw new UsageError(
      `there is nothing in ${dir} to fetch anew; say what is needed with --fmspc, --amd or --rim, or --nvidia-crls`,
    );
  }
  const { io } = context;
  const downloader = new Downloader({ waiting: (why) => io.stderr.write(`  waiting ${why}\n`) });
  try {
    const progress = ({ what, url }: Source) => io.stderr.write(`fetching ${what} from ${new URL(url).host}\n`);
    const { pieces, failed } = await fetchAll(sources, downloader, progress);
    const plan = await importInto(dir, pieces, {
      roots,
      atMs: context.parts.now(),
      allowOlder: options.allowOlder === true,
      replaceManifest: options.replaceManifest === true,
      objection: (standing) => objection(standing, sources),
    });
    return importOutcome(dir, plan, [
      ...failed.map(({ source, why }) => `${source.what}: ${why} (${source.url})`),
      ...unknown,
    ]);
  } finally {
    await downloader.close();
  }
}

/** A mirror may have mixed up what it serves. */
function objection({ item, subject }: Standing, sources: readonly Source[]): string | undefined {
  const source = sources.find(({ file }) => file === item.file);
  if (source === undefined || source.isAbout(subject)) return undefined;
  return `it is about ${subject}; the ${source.what} was asked for`;
}

/** What the options name; of the CRLs of NVIDIA those of its roots, and of CAs of which the directory has the certificate. */
async function wantedByName(dir: string, options: FetchOptions, roots: HardwareRoots): Promise<Wanted> {
  const named = { fmspcs: options.fmspc ?? [], amd: options.amd ?? [], rims: options.rim ?? [] };
  if (options.nvidiaCrls !== true) return { ...named, nvidiaCrls: [] };
  const { pieces } = await readCollateral(dir, true);
  const known = crlIssuers(roots, pieces).map(({ subject }) => onlyAttribute(subject.attributes, COMMON_NAME));
  const crls = NVIDIA_CRLS.filter(({ issuer, isOfRoot }) => isOfRoot || known.includes(issuer));
  return { ...named, nvidiaCrls: crls.map(({ issuer }) => issuer) };
}

interface WantedAnew {
  readonly wanted: Wanted;
  /** What is there, and cannot be asked for; for people. */
  readonly unknown: readonly string[];
}

/** What the directory has, as far as it is good. */
async function wantedAnew(dir: string, roots: HardwareRoots): Promise<WantedAnew> {
  const { pieces } = await readCollateral(dir, true);
  const { items } = await judgementOf(pieces, roots, 0);
  const good = items.filter(({ fault }) => fault === undefined);
  const subjects = (kind: Standing['item']['kind']) => [
    ...new Set(good.flatMap(({ item, subject }) => (item.kind === kind ? [subject] : []))),
  ];
  const crls = subjects('crl');
  const rims = subjects('rim').map((id) => {
    const files = good.flatMap(({ item, subject }) => (item.kind === 'rim' && subject === id ? [item.file] : []));
    return { id, files, served: files.flatMap((file) => servedAs(file, id) ?? []).filter(isRimId) };
  });
  const isPublished = (name: string) => NVIDIA_CRLS.some(({ issuer }) => issuer === name);
  return {
    wanted: {
      fmspcs: subjects('tcb-info').map((subject) => subject.replace('TDX ', '')),
      amd: AMD_GENERATIONS.filter((generation) => crls.includes(`ARK-${generation}`)),
      rims: [...new Set(rims.flatMap(({ served }) => served))],
      nvidiaCrls: crls.filter(isPublished),
    },
    unknown: [
      ...rims.filter(({ served }) => served.length === 0).map(({ id, files }) => unknownRim(id, files)),
      ...crls
        .filter((name) => isOfNvidia(name) && !isPublished(name))
        .map((name) => `CRL of ${name}: not fetched anew, since its address is not known: import it`),
    ],
  };
}

/** Only the name that NVIDIA has for a manifest of a VBIOS or switch says the board, which the manifest does not. */
function unknownRim(id: string, files: readonly string[]): string {
  return (
    `RIM ${id} (${files.join(', ')}): not fetched anew, since nothing here says under which name NVIDIA serves it: give that once ` +
    'with --rim, NV_GPU_VBIOS_… or NV_SWITCH_BIOS_… with project, SKUs and version'
  );
}
