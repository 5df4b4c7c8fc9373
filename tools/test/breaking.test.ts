import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tradewind-breaking-'));
  for (const name of ['proto', 'buf.yaml', 'test/corpus'])
    cpSync(join(root, name), join(folder, name), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function check() {
  const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'tools/breaking.ts')], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

function change(path: string, from: string, to: string): void {
  const file = join(folder, 'proto/tradewind', path);
  const before = readFileSync(file, 'utf8');
  expect(before).toContain(from);
  writeFileSync(file, before.replace(from, to));
}

test('contracts that only grew break nothing, and a clone without tags says what it was held against', () => {
  change(
    'order/v1/events.proto',
    'int64 revision = 6',
    'string note = 7;\n  // It grows.\n  int64 revision = 6',
  );
  const { status, output } = check();
  expect({ status, output }).toMatchObject({ status: 0 });
  expect(output).toMatch(/against recording v\d+: nothing breaks/);
  expect(output).toMatch(/no release is tagged/);
});

test.each([
  ['a field with another name', 'string customer_id = 2', 'string buyer_id = 2', /customer_id/],
  ['a field with another number', 'string customer_id = 2', 'string customer_id = 22', /"2"/],
  ['an event on another topic', 'name: "order.created"', 'name: "order.placed"', /topic order\.created/],
])('%s is named, and fails', (_, from, to, named) => {
  change('order/v1/events.proto', from, to);
  const { status, output } = check();
  expect(status).toBe(1);
  expect(output).toMatch(named);
});

test.each([
  [
    'written in other names',
    '    lower_camel_case: true\n',
    /had topic ratings, .*lowerCamelCase.* and has .*proto names/,
  ],
  ['kept for a week', '    keep_for_ever: true\n', /had topic ratings, .*, kept for ever and has/],
])('an event that is %s is named, and fails', (_, line, named) => {
  change('ratings/v1/events.proto', line, '');
  const { status, output } = check();
  expect(status).toBe(1);
  expect(output).toMatch(named);
});

test('an event that is kept longer than before breaks nothing', () => {
  change('order/v1/events.proto', 'name: "order.created"', 'keep_for_ever: true\n    name: "order.created"');
  expect(check()).toMatchObject({ status: 0 });
});

test('a release that is tagged counts as well: what it added must stay', () => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@invalid', ...args], { cwd: folder });
  change(
    'order/v1/events.proto',
    'int64 revision = 6',
    'string note = 7;\n  // It grows.\n  int64 revision = 6',
  );
  git('init', '--quiet');
  git('add', '--all');
  git('commit', '--quiet', '--message=release');
  git('tag', 'v0.9.0');
  git('tag', 'v0.10.0');
  expect(check().output).toMatch(/against release v0\.10\.0: nothing breaks/);
  change('order/v1/events.proto', 'string note = 7;', '');
  const { status, output } = check();
  expect(status).toBe(1);
  expect(output).toMatch(/against recording v\d+: nothing breaks/);
  expect(output).toMatch(/note/);
});
