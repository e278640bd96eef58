import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { deploymentName, keyName, rfc3339, sha256Hex } from './arguments.js';

const AK = /^(?:[0-9a-f]{64}|000b[0-9a-f]{64}|000c[0-9a-f]{96}|000d[0-9a-f]{128})$/;

/** Options that select log entries. */
export function addSelectionOptions(command: Command): Command {
  return command
    .option('--type <type>', 'only entries of this type, such as release or denial')
    .option('--deployment <name>', 'only entries about this deployment', deploymentName)
    .option('--key <name>', 'only entries about this key', keyName)
    .option('--policy <sha256>', 'only entries about this policy', sha256Hex)
    .option('--ak <hex>', 'only entries about this AK: its SPKI hash or its TPM Name, hex', akId)
    .option('--since <time>', 'only entries of this time or later, RFC 3339', rfc3339)
    .option('--until <time>', 'only entries before this time, RFC 3339', rfc3339);
}

function akId(text: string): string {
  const lower = text.toLowerCase();
  if (AK.test(lower)) return lower;
  throw new InvalidArgumentError('An AK is its SPKI hash, 64 hex digits, or its TPM Name.');
}
