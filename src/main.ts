#!/usr/bin/env node
/** The program: what the process gives goes in, the exit code comes out. */
import type { Sink } from './cli/io.js';
import { run } from './cli/program.js';

function sink(stream: NodeJS.WriteStream): Sink {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // A reader that has gone away, such as `head`, is no fault.
    if (error.code === 'EPIPE') return;
    if (stream !== process.stderr) {
      const where = (process.env['PORTCULLIS_DEBUG'] ?? '') === '' ? '' : `${error.stack ?? ''}\n`;
      process.stderr.write(`${where}portcullis: cannot write to standard output: ${error.message}\n`);
    }
    // Nothing that the run still says could be read.
    process.exit(1);
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
