import { describe, expect, test } from '@jest/globals';
import { compareRows, comparisonText, parseReport } from '../../bench/compare.js';
import type { Report, Row } from '../../bench/report.js';
import { figureOf } from '../../bench/statistics.js';

function row(name: string, figures: Readonly<Record<string, readonly number[]>>): Row {
  const entries = Object.entries(figures).map(([figure, rounds]) => [figure, figureOf(rounds)] as const);
  return { group: 'sqlite, 1 worker, p256', name, figures: Object.fromEntries(entries) };
}

function report(rows: readonly Row[], options: Readonly<Record<string, unknown>> = { seconds: 1 }): Report {
  return { bench: 'releases', machine: { cpu: 'a', cores: 2, kernel: '6.1', node: 'v20' }, options, rows };
}

describe('two runs', () => {
  test('a figure whose rounds do not overlap is better or worse, by what it is', () => {
    const before = [row('64', { releasesPerSecond: [100, 110, 120], cpuUs: [400, 410, 420] })];
    const faster = [row('64', { releasesPerSecond: [200, 220, 240], cpuUs: [500, 510, 520] })];
    expect(compareRows(before, faster)).toMatchObject([
      { figure: 'releasesPerSecond', verdict: 'better', change: 1 },
      { figure: 'cpuUs', verdict: 'worse' },
    ]);
    expect(compareRows(faster, before)).toMatchObject([
      { figure: 'releasesPerSecond', verdict: 'worse', change: -0.5 },
      { figure: 'cpuUs', verdict: 'better' },
    ]);
  });

  test('of rounds that overlap nothing is said, however far the medians are apart', () => {
    const before = [row('64', { p99Ms: [10, 11, 60] })];
    const after = [row('64', { p99Ms: [55, 90, 100] })];
    expect(compareRows(before, after)).toMatchObject([{ verdict: 'same' }]);
    expect(comparisonText(report(before), report(after))).toContain('no change beyond the spread');
  });

  test('rows and figures that only one of them has are left out', () => {
    const before = [row('1', { cpuUs: [1, 2, 3] }), row('16', { cpuUs: [1, 2, 3] })];
    const after = [row('16', { cpuUs: [1, 2, 3], p50Ms: [4, 5, 6] }), row('64', { cpuUs: [1, 2, 3] })];
    expect(compareRows(before, after).map(({ name, figure }) => [name, figure])).toEqual([['16', 'cpuUs']]);
  });

  test('how many commits there were is not compared, since it follows from the rest', () => {
    const rows = (commits: number) => [row('64', { commits: [commits] })];
    expect(compareRows(rows(1), rows(2))).toEqual([]);
  });

  test('no change at all is none, also of zero', () => {
    const rows = [row('64', { p50Ms: [0, 0, 0] })];
    expect(compareRows(rows, rows)).toMatchObject([{ change: 0, verdict: 'same' }]);
  });

  test('the text shows both medians with their spreads, and what was not the same about the runs', () => {
    const before = report([row('64', { cpuUs: [400, 400, 400] })], { seconds: 1, rounds: 3 });
    const after = { ...report([row('64', { cpuUs: [270, 300, 330] })], { seconds: 2, rounds: 3 }) };
    const text = comparisonText(before, { ...after, machine: { ...after.machine, node: 'v22' } });
    expect(text).toContain('sqlite, 1 worker, p256: 64: CPU/release better -25% (400 µs ±0% to 300 µs ±10%)');
    expect(text).toContain('note: node was v20 and is v22');
    expect(text).toContain('note: seconds was 1 and is 2');
    expect(text).not.toContain('rounds was');
  });
});

describe('an earlier file', () => {
  test('is read as it was written', () => {
    const written = report([row('64', { cpuUs: [1, 2, 3] })]);
    expect(parseReport(JSON.stringify(written))).toEqual(written);
  });

  test.each([
    ['null'],
    ['{}'],
    ['{"rows":{}}'],
    ['{"rows":[null]}'],
    ['{"rows":[{"group":"a","name":"b"}]}'],
    ['{"rows":[{"group":"a","name":"b","figures":null}]}'],
    ['{"rows":[{"group":"a","name":"b","figures":{"cpuUs":7}}]}'],
    ['{"rows":[{"group":"a","name":"b","figures":{"cpuUs":null}}]}'],
    ['{"rows":[{"group":1,"name":"b","figures":{}}]}'],
  ])('that is none of the bench is refused: %s', (text) => {
    expect(() => parseReport(text)).toThrow(TypeError);
  });
});
