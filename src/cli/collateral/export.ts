import { writeBundle } from '../../collateral/bundle.js';
import { sha256Hex } from '../../crypto/digest.js';
import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import { isTrouble } from '../../collateral/state.js';
import type { CliContext } from '../context.js';
import { answer, type Outcome, UsageError } from '../outcome.js';
import { createOutputFile } from '../output-file.js';
import { type PlaceOptions, placeOf, readCollateral } from './place.js';
import { judgementOf } from './status.js';

/** Writes all of a directory of collateral into one file, or to stdout (`-`). */
export async function exportCollateral(
  context: CliContext,
  file: string,
  options: PlaceOptions,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<Outcome> {
  const dir = placeOf(context, options);
  const { pieces, unusable } = await readCollateral(dir);
  if (pieces.size === 0)
    throw new UsageError(`there is no collateral in ${dir}; get some with: portcullis collateral fetch`);
  const bundle = writeBundle(pieces);
  if (file !== '-') await put(context, file, bundle);
  const { items } = await judgementOf(pieces, roots, context.parts.now());
  const notes = [
    ...unusable.map(({ file: name, why }) => `left out: ${name}: ${why}`),
    ...items
      .filter(({ state }) => isTrouble(state))
      .map(({ item, state }) => `${item.file} is ${state}: collateral import will refuse it`),
  ];
  const sha256 = sha256Hex(bundle);
  const json = { bundle: file, sha256, files: [...pieces.keys()] };
  const text = [
    `${String(pieces.size)} files are in ${file}.`,
    { rows: [['SHA-256', sha256]] },
    `On the other machine: portcullis collateral import ${file} --dir D`,
  ];
  return { ...answer(json, text, notes), ...(file === '-' ? { raw: bundle } : {}) };
}

async function put(context: CliContext, file: string, bundle: string): Promise<void> {
  const output = await createOutputFile(context.io, file, true);
  try {
    await output.write(bundle);
  } finally {
    await output.discard();
  }
}
