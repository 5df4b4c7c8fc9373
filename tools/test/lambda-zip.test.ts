import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { afterEach, beforeEach, expect, test } from 'vitest';

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../lambda-zip.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-lambda-zip-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function zipped(name: string, env: Record<string, string> = {}, cwd = folder) {
  const file = join(folder, name);
  const { stdout } = await run(process.execPath, [cli, '--out', file], {
    cwd,
    env: { ...process.env, ...env },
  });
  return { zip: await readFile(file), stdout };
}

test('one module that needs nothing and exports the handler, small enough to start at once', async () => {
  const { zip, stdout } = await zipped('a.zip');
  const files = unzipSync(zip);
  expect(Object.keys(files)).toEqual(['index.mjs']);
  const code = Buffer.from(files['index.mjs'] ?? []).toString();
  expect(code).toMatch(/export \{\s*handler\s*\}/);
  expect(code).not.toMatch(/\bimport\b|\brequire\(/);
  expect(zip.length).toBeLessThan(10_000);
  const sha256 = createHash('sha256').update(zip).digest('base64');
  expect(stdout).toBe(`a.zip: ${zip.length} bytes, CodeSha256 ${sha256}\n`);
});

test('it runs where nothing of this project is', async () => {
  const { zip } = await zipped('a.zip');
  await writeFile(join(folder, 'index.mjs'), unzipSync(zip)['index.mjs'] ?? '');
  const event = (method: string, body: string) =>
    JSON.stringify({
      requestContext: { http: { method } },
      headers: { 'content-type': 'application/json' },
      body,
    });
  const script = `
    const { handler } = await import('./index.mjs');
    const answers = [];
    for (const event of [${event('POST', '{"ratings":{"5":"3","4":1}}')}, ${event('GET', '')}, ${event('POST', 'x')}])
      answers.push(await handler(event));
    console.log(JSON.stringify(answers));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
  expect(JSON.parse(stdout)).toMatchObject([
    { statusCode: 200, body: '{"avg":4.75,"totalCount":4}' },
    { statusCode: 405, headers: { allow: 'POST' } },
    { statusCode: 400 },
  ]);
});

test('the same code makes the same bytes, wherever and whenever', async () => {
  const { zip } = await zipped('a.zip', { TZ: 'UTC' });
  const elsewhere = await zipped('b.zip', { TZ: 'Pacific/Apia' }, tmpdir());
  expect(elsewhere.zip.equals(zip)).toBe(true);
});

test('the file is a plain one that everybody may read', async () => {
  const { zip } = await zipped('a.zip');
  const entry = zip.indexOf(Buffer.from('PK\x01\x02'));
  // Of the central directory: the system that made it, and what that says of the file.
  expect(zip[entry + 5]).toBe(3);
  expect((zip.readUInt32LE(entry + 38) >>> 16).toString(8)).toBe('100644');
});

test.each([
  [['--help'], 0, 'npm run lambda:zip'],
  [['--fast'], 2, "Unknown option '--fast'"],
  [['extra'], 2, "Unexpected argument 'extra'"],
  [['--out', '/dev/null/x/y.zip'], 1, 'ENOTDIR'],
])('%j: exit code %i', async (args, code, text) => {
  const ended = await run(process.execPath, [cli, ...args]).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
  expect(ended.code).toBe(code);
  expect(ended.stdout + ended.stderr).toContain(text);
});
