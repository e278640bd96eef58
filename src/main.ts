#!/usr/bin/env node
/** The program: what the process gives goes in, the exit code comes out. */
import type { Sink } from './cli/io.js';
import { run } from './cli/program.js';

function sink(stream: NodeJS.WriteStream): Sink {
  // A reader that has gone away, such as `head`, is no fault.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return { write: (text) => void stream.write(text), isTerminal: stream.isTTY };
}

// Whatever this program writes is its user's alone, unless a file says otherwise.
process.umask(0o077);
process.exitCode = await run(process.argv.slice(2), {
  stdout: sink(process.stdout),
  stderr: sink(process.stderr),
  stdin: process.stdin,
  env: process.env,
  cwd: process.cwd(),
});
