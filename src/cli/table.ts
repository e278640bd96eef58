import Table3 from 'cli-table3';
import type { Table } from './outcome.js';

/** No lines at all: columns, two spaces apart. */
const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** The table as text without a final line break; the head through `emphasise`. Columns are as wide as their widest cell. */
export function renderTable(table: Table, emphasise: (text: string) => string): string {
  const rendered = new Table3({
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  if (table.head !== undefined) rendered.push(table.head.map(emphasise));
  for (const row of table.rows) rendered.push([...row]);
  return rendered
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
