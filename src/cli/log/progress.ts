import type { CliIo } from '../io.js';

const REDRAW_MS = 100;
const LINE_MS = 5_000;
const WIDTH = 30;

/**
 * How far reading a log has come, on stderr: a bar on a terminal, a line every few seconds elsewhere, nothing with --json.
 */
export class Progress {
  readonly #io: CliIo;
  readonly #silent: boolean;
  readonly #now: () => number;
  readonly #startedMs: number;
  #shownMs: number;
  #drawn = false;

  /** `now` in ms. */
  constructor(io: CliIo, silent: boolean, now: () => number) {
    this.#io = io;
    this.#silent = silent;
    this.#now = now;
    this.#startedMs = now();
    this.#shownMs = this.#startedMs;
  }

  /** Seconds since it was made. */
  get seconds(): number {
    return Math.max(this.#now() - this.#startedMs, 0) / 1000;
  }

  /** `size` of `total` entries are done, of which this run began with entry `first`. */
  readonly update = (size: number, total: number, first: number): void => {
    if (this.#silent) return;
    const { isTerminal } = this.#io.stderr;
    if (this.#now() - this.#shownMs < (isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.#shownMs = this.#now();
    const rate = perSecond(size - first, this.seconds);
    const text = `${grouped(size)} of ${grouped(total)} entries${rate === undefined ? '' : `, ${grouped(rate)}/s`}`;
    if (!isTerminal) {
      this.#io.stderr.write(`${text}\n`);
      return;
    }
    const filled = total === 0 ? WIDTH : Math.floor((size / total) * WIDTH);
    this.#io.stderr.write(`\r\u001b[K[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${text}`);
    this.#drawn = true;
  };

  /** Takes the bar away. */
  end(): void {
    if (this.#drawn) this.#io.stderr.write('\r\u001b[K');
    this.#drawn = false;
  }
}

/** Undefined where too little time has passed to say it. */
export function perSecond(count: number, seconds: number): number | undefined {
  return seconds < 0.001 ? undefined : Math.round(count / seconds);
}

/** 1,234,567. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}
