import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SchemaStep } from '@tradewind/database/database';
import { writeStep } from '@tradewind/database/new-step';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
let migrations: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-new-step-'));
  migrations = join(folder, 'migrations');
  await mkdir(migrations);
  await writeFile(join(folder, 'service.ts'), '');
  for (const name of ['0001-orders.ts', '0002-waiting.ts', 'README.md'])
    await writeFile(join(migrations, name), '');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a new step is the next file, which exports it by its name', async () => {
  const step = await writeStep(folder, 'shipping-address-2');
  const path = join(migrations, '0003-shipping-address-2.ts');
  expect(step).toEqual({ name: '0003-shipping-address-2', variable: 'shippingAddress2', path });
  const exported: Record<string, SchemaStep> = await import(path);
  expect({ ...exported }).toEqual({ shippingAddress2: { name: step.name, up: [], down: [] } });
  expect(await readFile(path, 'utf8')).toMatch(/expand now[\s\S]*Contract a release later/);
  expect((await writeStep(folder, 'notes')).name).toBe('0004-notes');
});

test('the first step of a service makes the folder', async () => {
  await rm(migrations, { recursive: true });
  expect((await writeStep(folder, 'things')).name).toBe('0001-things');
});

test.each([
  ['Shipping', 'small letters'],
  ['shipping_address', 'small letters'],
  ['shipping--address', 'small letters'],
  ['-shipping', 'small letters'],
  ['shipping-', 'small letters'],
  ['2nd', 'small letters'],
  ['ünits', 'small letters'],
  ['../../order', 'small letters'],
  ['', 'small letters'],
  ['a'.repeat(61), '60 characters at most'],
  ['delete', 'a word of the language'],
  ['await', 'a word of the language'],
  ['waiting', 'there is 0002-waiting.ts already'],
])('"%s" is refused, and another name would do', async (name, message) => {
  await expect(writeStep(folder, name)).rejects.toMatchObject({
    message: expect.stringContaining(message),
    exitCode: 2,
  });
  expect(await readdir(migrations)).toHaveLength(3);
});

test('where there is no service, nothing is written', async () => {
  await rm(join(folder, 'service.ts'));
  await expect(writeStep(folder, 'x')).rejects.toMatchObject({
    message: expect.stringContaining(`there is no service.ts in ${folder}`),
    exitCode: 1,
  });
});

test('a folder that must not be written to is named, and why steps are written elsewhere', async () => {
  await chmod(folder, 0o755);
  await chmod(migrations, 0o555);
  const root = process.geteuid?.() === 0;
  // Root may write anywhere, so it becomes nobody for a moment.
  if (root) process.seteuid?.(65_534);
  try {
    await expect(writeStep(folder, 'x')).rejects.toMatchObject({
      message: expect.stringMatching(
        /can't write .*0003-x\.ts: this user may not write there\. Steps are written in a checkout/,
      ),
      exitCode: 1,
    });
  } finally {
    if (root) process.seteuid?.(0);
  }
});
