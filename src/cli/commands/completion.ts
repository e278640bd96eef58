import { Argument, type Command } from 'commander';
import { addGlobalOptions } from '../globals.js';
import type { CliIo } from '../io.js';
import { answer } from '../outcome.js';
import { verb, type Act } from '../verb.js';

/**
 * The words typed go to the program as they are, never through eval, so that pressing the tab key runs nothing that stands
 * on the line. Where the program knows nothing, bash completes file names.
 */
const BASH = `# bash completion for portcullis
__portcullis_complete() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :[0-9]*) ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(portcullis complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F __portcullis_complete portcullis
`;

/**
 * `completion`, and the hidden `complete` that the scripts call with the words typed so far. What is completed is a tree of
 * commands that `fresh` makes, since the library adds to it.
 */
export function addCompletion(program: Command, act: Act, io: CliIo, fresh: () => Command): void {
  const completion = verb(program, 'completion', {
    summary: 'print a script that completes commands in a shell',
    description: 'Prints a completion script for a shell, to be sourced where the shell starts.',
    examples: [
      'source <(portcullis completion bash)',
      'portcullis completion zsh > ~/.portcullis-completion.zsh',
      'portcullis completion fish > ~/.config/fish/completions/portcullis.fish',
    ],
    next: 'Open a new shell, type `portcullis ` and press the tab key.',
  })
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish', 'powershell']))
    .action(
      act(async (_context, shell: string) => {
        const text = shell === 'bash' ? BASH : await libraryScript(shell, program.name());
        return answer({ shell, script: text }, [text.trimEnd()]);
      }),
    );
  addGlobalOptions(completion);

  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (words: readonly string[]) => {
      const { default: tab } = await import('@bomb.sh/tab/commander');
      const root = tab(fresh(), { completionCommandName: completion.name() });
      io.stdout.write(printedBy(() => root.parse([...words])));
    });
}

async function libraryScript(shell: string, name: string): Promise<string> {
  const { script } = await import('@bomb.sh/tab');
  return printedBy(() => script(shell, name, name));
}

/** What a function prints with console.log: the library knows no other way out. */
function printedBy(print: () => void): string {
  const lines: string[] = [];
  const original = console.log;
  console.log = (...words: unknown[]) => void lines.push(words.map(String).join(' '));
  try {
    print();
  } finally {
    console.log = original;
  }
  return lines.map((line) => `${line}\n`).join('');
}
