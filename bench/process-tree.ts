/** What processes use, read from /proc of Linux: nothing is asked of the broker, which would cost it time. */
import { existsSync, readFileSync } from 'node:fs';

/** Clock ticks of /proc, which are a hundredth of a second on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export function canMeasureProcesses(): boolean {
  return existsSync('/proc/self/stat');
}

/** A process and all below it. */
export function processTree(pid: number): readonly number[] {
  const found = [pid];
  for (const each of found) {
    const children = read(`/proc/${String(each)}/task/${String(each)}/children`) ?? '';
    found.push(...children.split(' ').filter(Boolean).map(Number));
  }
  return found;
}

/** User and system time of the processes and of the children that they have outlived, in seconds. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticksOf(pid), 0) / TICKS_PER_SECOND;
}

/** Memory of the processes, added up: a page that several share counts in parts, which add up to one (Pss of proc(5)). */
export function memoryBytes(pids: readonly number[]): number {
  const kibibytes = (pid: number) =>
    /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${String(pid)}/smaps_rollup`) ?? '')?.[1] ?? 0;
  return pids.reduce((sum, pid) => sum + Number(kibibytes(pid)), 0) * 1024;
}

function ticksOf(pid: number): number {
  const stat = read(`/proc/${String(pid)}/stat`);
  if (stat === undefined) return 0;
  // proc(5): the name, in parentheses, may hold anything; utime is the 12th field behind it, then stime, cutime, cstime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at] ?? 0), 0);
}

/** undefined for a process that has ended. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
