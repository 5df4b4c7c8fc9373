import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { Refusal } from '@tradewind/process/refusal';

/** A step's file that was just written. */
export interface NewStep {
  /** `0003-shipping-address`. */
  readonly name: string;
  /** What the file exports: `shippingAddress`. */
  readonly variable: string;
  /** Absolute, as the folder is. */
  readonly path: string;
}

const KEBAB = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const LONGEST = 60;

/**
 * Writes the next numbered step into the `migrations` folder of a service, to be filled in and listed.
 * @param folder of the service: where its service.ts is
 * @throws Refusal when the name will not do (exit code 2) or the file can't be written (1)
 */
export async function writeStep(folder: string, name: string): Promise<NewStep> {
  const variable = name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  checkName(name, variable);
  if (!existsSync(join(folder, 'service.ts')))
    throw new Refusal(`there is no service.ts in ${folder}: this works where a service's main.ts is`);
  const migrations = join(folder, 'migrations');
  await mkdir(migrations, { recursive: true }).catch(refused(migrations));
  const steps = (await readdir(migrations).catch(refused(migrations))).flatMap((file) => {
    const [, number, known] = /^(\d{4,})-(.+)\.ts$/.exec(file) ?? [];
    return number === undefined ? [] : [{ file, number: Number(number), known }];
  });
  const twin = steps.find(({ known }) => known === name);
  if (twin) throw new Refusal(`there is ${twin.file} already: give the new step a name of its own`, 2);
  const next = Math.max(0, ...steps.map(({ number }) => number)) + 1;
  const step = `${String(next).padStart(4, '0')}-${name}`;
  const path = join(migrations, `${step}.ts`);
  await writeFile(path, sourceOf(step, variable), { flag: 'wx' }).catch(refused(path));
  return { name: step, variable, path };
}

function checkName(name: string, variable: string): void {
  if (!KEBAB.test(name) || name.length > LONGEST)
    throw new Refusal(
      `a step's name is small letters, digits and single hyphens, ${LONGEST} characters at most, such as shipping-address; not "${name}"`,
      2,
    );
  try {
    new Script(`async () => { 'use strict'; const ${variable} = 0; }`);
  } catch {
    throw new Refusal(`"${name}" is a word of the language: say more, such as ${name}-orders`, 2);
  }
}

function refused(path: string) {
  return (error: NodeJS.ErrnoException): never => {
    const why: Record<string, string> = {
      EROFS: 'this is a read-only file system',
      EACCES: 'this user may not write there',
      EPERM: 'this user may not write there',
    };
    throw new Refusal(
      `can't write ${path}: ${why[error.code ?? ''] ?? error.message}. Steps are written in a checkout of the source code; an image gets them when it is built`,
    );
  };
}

function sourceOf(step: string, variable: string): string {
  return `import type { SchemaStep } from '@tradewind/database/database';

// While a release is rolled out the one before it runs on this schema too. So expand now: add what it can do without. Contract a release later:
// drop, rename and forbid only what no running release uses any more. The way back may lose what only this step had.
export const ${variable}: SchemaStep = {
  name: '${step}',
  up: [],
  down: [],
};
`;
}
