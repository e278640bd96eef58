import { describe, expect, test } from '@jest/globals';
import { HELP, OptionError, parseOptions } from '../../bench/options.js';

describe('the options of the bench', () => {
  test('none: complete releases, both kinds of AK, one and two workers, four closed loops, an open one, prepared requests', () => {
    expect(parseOptions([])).toMatchObject({
      mode: 'releases',
      stores: ['sqlite'],
      workers: [1, 2],
      aks: ['rsa', 'p256'],
      connections: [1, 16, 64, 256],
      rate: 800,
      prepared: 2000,
      rounds: 5,
      json: 'build/bench.json',
    });
  });

  test('lists are split, and name nothing twice', () => {
    const options = parseOptions(['--workers', '2,1,2', '--store', 'postgres,sqlite', '--ak=p256']);
    expect(options).toMatchObject({ workers: [2, 1], stores: ['postgres', 'sqlite'], aks: ['p256'] });
  });

  test('each bench has defaults of its own', () => {
    expect(parseOptions(['--growth'])).toMatchObject({
      mode: 'growth',
      rounds: 7,
      keys: 1_000_000,
      attesters: 100_000,
      entries: 1_000_000,
      json: 'build/bench-growth.json',
    });
    expect(parseOptions(['--evidence'])).toMatchObject({
      mode: 'evidence',
      rounds: 25,
      json: 'build/bench-evidence.json',
    });
    expect(parseOptions(['--log'])).toMatchObject({ mode: 'log', seconds: 3, entries: 100_000 });
    expect(parseOptions(['--overload'])).toMatchObject({
      mode: 'overload',
      connections: [16],
      idle: 10_000,
      slow: 500,
    });
  });

  test('--help asks for nothing to be measured, and the help names every option', () => {
    expect(parseOptions(['--help', '--rounds', '3'])).toBeUndefined();
    for (const name of ['store', 'workers', 'ak', 'connections', 'rate', 'prepared', 'seconds', 'rounds', 'compare']) {
      expect(HELP).toContain(`--${name} `);
    }
    for (const mode of ['log', 'growth', 'overload', 'evidence']) expect(HELP).toContain(`--${mode} `);
  });

  test.each([
    [['--workers', '0']],
    [['--workers', '1,']],
    [['--rounds', '1.5']],
    [['--rounds=-1']],
    [['--rounds', 'five']],
    [['--seconds', '0']],
    [['--seconds', 'NaN']],
    [['--seconds', '601']],
    [['--store', 'mysql']],
    [['--ak', 'rsa,p384']],
    [['--log', '--growth']],
    [['--evidence', '--overload']],
    [['--unknown']],
    [['--rate']],
    [['stray']],
  ])('%j is refused', (argv) => {
    expect(() => parseOptions(argv)).toThrow(OptionError);
  });
});
