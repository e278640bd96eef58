/**
 * `npm run bench -- [--seconds N] [--workers N] [--json FILE] [--cpu-prof DIR]`: the cryptographic floor of this machine, then complete
 * releases (challenge and release, over HTTP, every check on, durable) at 1, 16 and 64 connections, with RSA-2048 and with
 * P-256 AKs.
 *
 * `npm run bench -- --log [--entries N] [--seconds N] [--rounds N] [--json FILE] [--cpu-prof DIR]`: what the transparency log costs. A log of
 * N entries (100,000) is grown through the store, in commits of 32: the cost of an entry by tenths of the log, and how fast the
 * log is verified. Then releases at 1, 16 and 64 connections, with the log and without: two brokers of this build take turns,
 * one of which was loaded with stub-log.ts, that takes Merkle tree and signature out.
 *
 * The load generator shares the machine with the broker. Prints tables and writes JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { benchLog } from './log.js';
import { benchReleases } from './releases.js';

const { values } = parseArgs({
  options: {
    log: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    workers: { type: 'string', default: '1' },
    entries: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
    'cpu-prof': { type: 'string' },
  },
});
const profileDir = values['cpu-prof'];
const nodeArgs = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
const workers = Number(values.workers);
const seconds = Number(values.seconds ?? (values.log ? 3 : 5));
const figures = values.log
  ? await benchLog({ entries: Number(values.entries), seconds, rounds: Number(values.rounds), nodeArgs })
  : await benchReleases(workers, seconds, nodeArgs);
const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
const json = values.json ?? (values.log ? 'build/bench-log.json' : 'build/bench.json');
mkdirSync(dirname(json), { recursive: true });
writeFileSync(json, `${JSON.stringify({ ...machine, workers, seconds, ...figures }, null, 2)}\n`);
console.error(`written to ${json}`);
