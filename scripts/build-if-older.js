// Builds the program, unless dist/ is newer than src/ and all that says how it is built. Jest does so before the tests, since
// some of them run the program as its users do; `npm run demo` runs this file.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const SETTINGS = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];

function newestMs() {
  const sources = readdirSync(join(root, 'src'), { recursive: true }).map((name) => join('src', name));
  // Folders count too: their time changes when a file goes away.
  return Math.max(...[...sources, ...SETTINGS].map((name) => statSync(join(root, name)).mtimeMs));
}

export default function buildIfOlder() {
  const built = join(root, 'dist/main.js');
  if (existsSync(built) && statSync(built).mtimeMs > newestMs()) return;
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildIfOlder();
