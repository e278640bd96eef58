import type { Command } from 'commander';
import { integer } from './arguments.js';

/** How much of a list is wanted. */
export interface RangeOptions {
  readonly limit?: number;
  readonly cursor?: string;
}

/** `--limit` and `--cursor`, for commands that list. */
export function addRangeOptions(command: Command, byDefault = 'all'): Command {
  return command
    .option('--limit <n>', `at most so many items, 1 to 1000000 (default: ${byDefault})`, integer(1, 1_000_000))
    .option('--cursor <cursor>', 'go on where a former list ended: its next_cursor');
}
