import { type Command, InvalidArgumentError } from 'commander';
import { isRimId, MAKERS_ORIGINS, type Origins, parseFmspc, parseGeneration } from '../../collateral/wanted.js';
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';
import { repeated, rfc3339 } from '../arguments.js';
import type { FetchOptions } from '../collateral/fetch.js';
import type { ImportOptions } from '../collateral/import.js';
import type { PlaceOptions } from '../collateral/place.js';
import type { StatusOptions } from '../collateral/status.js';
import { noun, verb, type Act } from '../verb.js';

/** `collateral status|import|export|fetch`. */
export function addCollateral(program: Command, act: Act): void {
  const collateral = noun(program, 'collateral', {
    summary: 'keep what makers publish about their hardware',
    description:
      'Evidence of confidential VMs and GPUs is held against what makers publish and sign: TCB info, QE identity and CRLs of ' +
      'Intel, CRLs of AMD, reference integrity manifests (RIMs) of NVIDIA. Each has dates: what is missing or stale makes a broker ' +
      'answer collateral.unavailable, never a verdict.',
    examples: [
      'portcullis collateral fetch --data-dir /var/lib/portcullis --fmspc 50806F000000 --amd Milan,Genoa',
      'portcullis collateral status --data-dir /var/lib/portcullis',
    ],
    next: 'docs/COLLATERAL.md has the rest, also for machines without a network.',
  });
  addStatus(collateral, act);
  addImport(collateral, act);
  addExport(collateral, act);
  addFetch(collateral, act);
}

function addStatus(collateral: Command, act: Act): void {
  const command = verb(collateral, 'status', {
    summary: 'say what is there, who vouches for it and until when',
    description:
      'Lists what the directory holds: its signature is verified up to the pinned roots of the makers, its dates are held against ' +
      'the clock. Exit code 1 when anything is stale, unverified or missing.',
    examples: [
      'portcullis collateral status --dir /var/lib/portcullis/collateral',
      'portcullis collateral status --data-dir /var/lib/portcullis --at 2026-12-24T00:00:00Z --json',
    ],
    next: '`portcullis collateral fetch` fetches it anew.',
  });
  place(command)
    .option('--at <time>', 'hold it against this time, RFC 3339 (default: now)', rfc3339)
    .action(
      act(async (context, options: StatusOptions) =>
        (await import('../collateral/status.js')).status(context, options),
      ),
    );
}

function addImport(collateral: Command, act: Act): void {
  const command = verb(collateral, 'import', {
    summary: 'take a directory, a bundle or one piece',
    description:
      'Takes what `collateral export` wrote, or a directory of files as makers serve them, or one such file. Each piece is taken ' +
      'alone: its signature must lead to a pinned root, it must be current, and nothing newer may be there, no CRL with a ' +
      'revocation that it lacks, and no RIM of its id with other measurements. A running broker ' +
      'finds it within a minute. Exit code 1 when any piece was not taken.',
    examples: [
      'portcullis collateral import collateral.json --data-dir /var/lib/portcullis',
      'portcullis collateral import ./downloaded --dir /var/lib/portcullis/collateral --json',
    ],
    next: '`portcullis collateral status` shows what is there.',
  }).argument('<file>', 'bundle, directory or file; - reads stdin');
  force(place(command)).action(
    act(async (context, source: string, options: ImportOptions) =>
      (await import('../collateral/import.js')).importCollateral(context, source, options),
    ),
  );
}

function addExport(collateral: Command, act: Act): void {
  const command = verb(collateral, 'export', {
    summary: 'write all of it into one file, for a machine without a network',
    description:
      'Writes one JSON document with the content of each file and its SHA-256. It needs no protection on its way: what is in it is ' +
      'signed by the makers, and `collateral import` verifies that.',
    examples: ['portcullis collateral export collateral.json --dir ./collateral'],
    next: 'carry the file over, then `portcullis collateral import`.',
  }).argument('<file>', 'file to write; one that is there is replaced; - writes to stdout');
  place(command).action(
    act(async (context, file: string, options: PlaceOptions) =>
      (await import('../collateral/export.js')).exportCollateral(context, file, options),
    ),
  );
}

function addFetch(collateral: Command, act: Act): void {
  const command = verb(collateral, 'fetch', {
    summary: 'fetch it from the makers',
    description:
      'Fetches from Intel (TCB info for each FMSPC, QE identity, CRLs), AMD (CRLs for VCEKs and VLEKs) and NVIDIA (RIMs, CRLs), then does ' +
      'as `collateral import` does. Without --fmspc, --amd, --rim and --nvidia-crls everything that is there is fetched anew. Each ' +
      'request has 10 s; after 429 it waits as it is told, for a minute at most. Intel issues for 30 days: fetch daily. ' +
      'HTTPS_PROXY is not heeded: fetch where there is a way out, then `collateral export` and `import`, or name a cache with --from.',
    examples: [
      'portcullis collateral fetch --data-dir /var/lib/portcullis --fmspc 50806F000000',
      'portcullis collateral fetch --dir ./collateral --amd Milan,Genoa,Turin --rim NV_GPU_DRIVER_GH100_550.144.03',
      'portcullis collateral fetch --data-dir /var/lib/portcullis   # anew, from cron',
      'portcullis collateral fetch --dir ./collateral --from intel=https://pccs.example:8081',
    ],
    next: '`portcullis collateral status`; an FMSPC is in the PCK certificate: `portcullis evidence explain` shows it.',
  });
  force(place(command))
    .option('--fmspc <hex>', 'platforms of Intel, 12 hex digits; may be repeated, or a list with commas', list(fmspc))
    .option('--amd <generations>', 'Milan, Genoa, Turin; may be repeated, or a list with commas', list(generation))
    .option('--rim <id>', "NVIDIA's id of a manifest; may be repeated, or a list with commas", list(rimId))
    .option(
      '--nvidia-crls',
      'CRLs of the roots of NVIDIA, and of those of its CAs whose certificates are in the directory; they must be renewed then',
    )
    .option(
      '--from <maker=url>',
      `ask another server: ${Object.keys(MAKERS_ORIGINS).join(', ')}; may be repeated`,
      repeated(origin),
    )
    .action(
      act(async (context, options: FetchOptions) =>
        (await import('../collateral/fetch.js')).fetchCollateral(context, options),
      ),
    );
}

function place(command: Command): Command {
  return command
    .option('--dir <dir>', 'directory of the collateral (PORTCULLIS_COLLATERAL_DIR)')
    .option('--data-dir <dir>', 'data directory of a broker: collateral in it (PORTCULLIS_DATA_DIR)');
}

function force(command: Command): Command {
  return command
    .option(
      '--allow-older',
      'take a piece although a newer one is there, or one of AMD that revokes more: what that one says no longer counts',
    )
    .option(
      '--replace-manifest',
      'take a RIM although a good one of the same id that wants other measurements is there or came with it',
    );
}

/** Options that may be repeated, each with several values between commas. */
function list<T>(parse: (text: string) => T): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before) => [...(before ?? []), ...text.split(',').map((part) => parse(part.trim()))];
}

function fmspc(text: string): string {
  const parsed = parseFmspc(text);
  if (parsed !== undefined) return parsed;
  throw new InvalidArgumentError('An FMSPC is 12 hex digits, such as 50806F000000.');
}

function generation(text: string): AmdGeneration {
  const parsed = parseGeneration(text);
  if (parsed !== undefined) return parsed;
  throw new InvalidArgumentError('Generations are Milan, Genoa and Turin.');
}

function rimId(text: string): string {
  if (isRimId(text)) return text;
  throw new InvalidArgumentError(
    'A RIM id looks like NV_GPU_DRIVER_GH100_550.144.03 or NV_GPU_CC_DRIVER_GB100_580.95.05.',
  );
}

function origin(text: string): readonly [keyof Origins, string] {
  const [, maker = '', url = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  if (Object.hasOwn(MAKERS_ORIGINS, maker) && isOrigin(url)) return [maker as keyof Origins, url.replace(/\/+$/, '')];
  throw new InvalidArgumentError(
    `It must be MAKER=URL: one of ${Object.keys(MAKERS_ORIGINS).join(', ')}, and https:// or http://.`,
  );
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text) || /[?#\s]/.test(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'https:' || protocol === 'http:') && username + password === '';
}
