// Holds the committed generated code against what the contracts generate now; exits with 1 and names the files that differ.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const committed = 'packages/contracts/gen';
const fresh = mkdtempSync(join(tmpdir(), 'tradewind-generated-'));
try {
  // A path of its own: the working tree stays as it is whatever comes out.
  execFileSync('buf', ['generate', '-o', fresh], { stdio: ['ignore', 'inherit', 'inherit'] });
  const files = (root: string) =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .toSorted();
  const made = join(fresh, committed);
  const all = new Set([...files(committed), ...files(made)]);
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  };
  const different = [...all].filter((name) => read(join(committed, name)) !== read(join(made, name)));
  if (different.length > 0) {
    process.stderr.write(
      `generated code is not what proto/ generates; run npm run generate:\n  ${different.join('\n  ')}\n`,
    );
    process.exitCode = 1;
  } else process.stdout.write(`${all.size} generated files are up to date\n`);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
