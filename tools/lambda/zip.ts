import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { zipSync } from 'fflate';

const root = fileURLToPath(new URL('../..', import.meta.url));
const HANDLER = 'services/ratings/lambda/statistics.ts';
/** What AWS calls, once it is told `index.handler`. */
const MODULE = 'index.mjs';
/** The oldest of AWS' runtimes that it is for; newer ones run it too. */
const TARGET = 'node22';
/** The first date that a zip can hold, in whatever time zone: the same code makes the same bytes. */
const MADE = new Date(1980, 0, 1);
/** A plain file, readable for all: AWS runs it as another user than the one who owns it. */
const MODE = 0o100644;

export interface LambdaZip {
  readonly zip: Uint8Array;
  /** In base64, as AWS shows it: `CodeSha256`. */
  readonly sha256: string;
}

/** The statistics function as AWS Lambda takes it: one zip with one module that needs nothing but Node. The same code makes the same bytes. */
export async function lambdaZip(): Promise<LambdaZip> {
  const { outputFiles } = await build({
    entryPoints: [HANDLER],
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: TARGET,
    // Whoever reads a stack trace on AWS reads this.
    minify: false,
    legalComments: 'inline',
    outfile: MODULE,
    write: false,
    logLevel: 'silent',
  });
  const [bundle] = outputFiles;
  if (!bundle) throw new Error('the bundler made nothing');
  const zip = zipSync(
    { [MODULE]: [bundle.contents, { mtime: MADE, os: 3, attrs: MODE << 16 }] },
    { level: 9 },
  );
  return { zip, sha256: createHash('sha256').update(zip).digest('base64') };
}
