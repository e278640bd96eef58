import { Downloader } from './download.js';
import { fetchAll } from './fetch-all.js';
import type { Pieces } from '../../collateral/items.js';
import { type Source, sourcesOf } from '../../collateral/sources.js';
import { isRimId, MAKERS_ORIGINS, type Origins, type Wanted } from '../../collateral/wanted.js';
import type { Standing } from '../../collateral/standing.js';
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
  const named: Wanted = { fmspcs: options.fmspc ?? [], amd: options.amd ?? [], rims: options.rim ?? [] };
  const isNamed = named.fmspcs.length + named.amd.length + named.rims.length > 0;
  const wanted = isNamed ? named : await wantedAnew(dir, roots);
  const sources = sourcesOf(wanted, origins);
  if (sources.length === 0) {
    throw new UsageError(`there is nothing in ${dir} to fetch anew; say what is needed with --fmspc, --amd or --rim`);
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
    return importOutcome(
      dir,
      plan,
      failed.map(({ source, why }) => `${source.what}: ${why} (${source.url})`),
    );
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

/** What the directory has, as far as it is good. */
async function wantedAnew(dir: string, roots: HardwareRoots): Promise<Wanted> {
  const { pieces } = await readCollateral(dir, true);
  const { items } = await judgementOf(pieces, roots, 0);
  const subjects = (kind: Standing['item']['kind']) => [
    ...new Set(
      items.flatMap(({ item, subject, fault }) => (item.kind === kind && fault === undefined ? [subject] : [])),
    ),
  ];
  const crls = subjects('crl');
  return {
    fmspcs: subjects('tcb-info').map((subject) => subject.replace('TDX ', '')),
    amd: AMD_GENERATIONS.filter((generation) => crls.includes(`ARK-${generation}`)),
    rims: rimIds(pieces, subjects('rim')),
  };
}

const SERVED_WITH_SKU = /^rim\/(NV_(?:GPU_VBIOS|SWITCH_BIOS)(?:_[0-9A-Za-z]+){4})\.[a-z]+$/;

/** A RIM of a driver says its whole id; one of a VBIOS or switch does not, but its file may have kept it. */
function rimIds(pieces: Pieces, subjects: readonly string[]): readonly string[] {
  const files = [...pieces.keys()].flatMap((file) => SERVED_WITH_SKU.exec(file)?.[1] ?? []);
  const drivers = subjects.filter((id) => id.startsWith('NV_GPU_DRIVER_'));
  return [...new Set([...drivers, ...files])].filter(isRimId);
}
