import { COLUMNS, groupBy, titleOf, type Report, type Row, valueText } from './report.js';
import { type Figure, spreadOf } from './statistics.js';

/** Where more is better; of everything else less is. */
const MORE_IS_BETTER = new Set(['releasesPerSecond', 'perCommit']);

/** Follows from the others, and is neither good nor bad. */
const NOT_COMPARED = new Set(['commits']);

/** How a figure has changed from one run to another. */
export interface Change {
  readonly group: string;
  readonly name: string;
  readonly figure: string;
  readonly before: Figure;
  readonly after: Figure;
  /** Of the medians; 0.1 is ten per cent more. */
  readonly change: number;
  /** `same` where the rounds of the two runs overlap: then nothing can be said. */
  readonly verdict: 'better' | 'worse' | 'same';
}

/** The figures that both runs have, in the order of the later one. */
export function compareRows(before: readonly Row[], after: readonly Row[]): readonly Change[] {
  const earlier = new Map(before.map((row) => [`${row.group}: ${row.name}`, row.figures]));
  return after.flatMap(({ group, name, figures }) =>
    Object.entries(figures).flatMap(([figure, value]) => {
      const was = earlier.get(`${group}: ${name}`)?.[figure];
      return was === undefined || NOT_COMPARED.has(figure)
        ? []
        : [{ group, name, figure, before: was, after: value, ...changeOf(figure, was, value) }];
    }),
  );
}

function changeOf(figure: string, before: Figure, after: Figure): Pick<Change, 'change' | 'verdict'> {
  const change = before.median === after.median ? 0 : after.median / before.median - 1;
  if (after.min <= before.max && before.min <= after.max) return { change, verdict: 'same' };
  return { change, verdict: after.median > before.median === MORE_IS_BETTER.has(figure) ? 'better' : 'worse' };
}

/** What an earlier run wrote. Throws TypeError for a file that is none of this bench. */
export function parseReport(text: string): Report {
  const value = JSON.parse(text) as Partial<Report> | null;
  const rows: unknown = value?.rows;
  if (!Array.isArray(rows) || !rows.every(isRow)) throw new TypeError('not a file that this bench wrote');
  return value as Report;
}

function isRow(value: unknown): value is Row {
  if (typeof value !== 'object' || value === null || !('group' in value && 'name' in value && 'figures' in value)) {
    return false;
  }
  const { group, name, figures } = value;
  if (typeof group !== 'string' || typeof name !== 'string' || typeof figures !== 'object' || figures === null) {
    return false;
  }
  return Object.values(figures as Record<string, Partial<Figure> | null>).every((each) =>
    [each?.median, each?.min, each?.max].every((number) => typeof number === 'number'),
  );
}

/** One line for each row, with the figures whose change is beyond the spread of the rounds; and what was not the same about the runs. */
export function comparisonText(before: Report, after: Report): string {
  const lines = unlike(before, after).map((what) => `note: ${what}`);
  for (const [row, changes] of groupBy(compareRows(before.rows, after.rows), (each) => `${each.group}: ${each.name}`)) {
    const told = changes.filter(({ figure, verdict }) => verdict !== 'same' && figure in COLUMNS).map(changeText);
    lines.push(`${row}: ${told.length === 0 ? 'no change beyond the spread' : told.join('; ')}`);
  }
  return lines.join('\n');
}

function changeText({ figure, before, after, change, verdict }: Change): string {
  const side = (each: Figure) => `${valueText(figure, each.median)} ±${(spreadOf(each) * 100).toFixed(0)}%`;
  const per = `${change < 0 ? '' : '+'}${(change * 100).toFixed(0)}%`;
  return `${titleOf(figure)} ${verdict} ${per} (${side(before)} to ${side(after)})`;
}

function unlike(before: Report, after: Report): readonly string[] {
  const found: string[] = [];
  for (const name of ['cpu', 'cores', 'kernel', 'node'] as const) {
    if (before.machine[name] !== after.machine[name]) {
      found.push(`${name} was ${String(before.machine[name])} and is ${String(after.machine[name])}`);
    }
  }
  for (const [name, value] of Object.entries(after.options)) {
    const was = JSON.stringify(before.options[name]);
    if (was !== JSON.stringify(value))
      found.push(`${name} was ${name in before.options ? was : 'not set'} and is ${JSON.stringify(value)}`);
  }
  return found;
}
