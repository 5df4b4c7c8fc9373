import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { reasonOf } from '@tradewind/process/wait-for';
import { lambdaZip } from './lambda/zip.ts';

const OUT = fileURLToPath(new URL('../dist/ratings-lambda.zip', import.meta.url));
const USAGE = `npm run lambda:zip [-- options]: the statistics function of ratings, bundled for AWS Lambda.

  --out FILE  where it is put; dist/ratings-lambda.zip when left out
  --help      this text

The handler is index.handler, for Node 22 or newer. The same code makes the same bytes.
`;

/** Exit codes: 0 done, 1 failed, 2 wrong command line. */
async function main(argv: string[]): Promise<number> {
  let values: { out?: string | undefined; help?: boolean | undefined };
  try {
    const options = { out: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
    ({ values } = parseArgs({ args: argv, options }));
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\n\n${USAGE}`);
    return 2;
  }
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const out = values.out || OUT;
  const { zip, sha256 } = await lambdaZip();
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, zip);
  process.stdout.write(`${relative(process.cwd(), out)}: ${zip.length} bytes, CodeSha256 ${sha256}\n`);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}
