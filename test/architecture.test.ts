import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SchemaStep } from '@tradewind/database/database';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = globSync(['packages/**/*.ts', 'services/**/*.ts', 'tools/**/*.ts', 'bench/**/*.ts'], {
  cwd: root,
})
  .filter((path) => !/node_modules|contracts\/gen/.test(path))
  .map((path) => {
    const source = readFileSync(resolve(root, path), 'utf8');
    const imports = [
      ...source.matchAll(
        /^(?:import|export|\})[^\n'"]*\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm,
      ),
    ].map((match) => match.slice(1).find((name) => name !== undefined) ?? '');
    return {
      path,
      source,
      imports,
      workspace: path
        .split('/')
        .slice(0, /^(tools|bench)\//.test(path) ? 1 : 2)
        .join('/'),
    };
  });
const product = files.filter(({ path }) => !path.includes('/test/'));
const services = ['order', 'product', 'ratings', 'stock'];

/** The rules' violations, each a line that says where and why. */
function report(violations: readonly string[]): void {
  expect(violations.join('\n')).toBe('');
}

test('there is something to look at', () => {
  expect(product.length).toBeGreaterThan(80);
});

test('dependencies point one way', () => {
  report(
    files.flatMap(({ path, imports, workspace }) =>
      imports
        .filter((name) => {
          const other =
            /^@tradewind\/(\w+)-service/.exec(name)?.[1] ?? /services\/(\w+)\//.exec(target(path, name))?.[1];
          return (
            other !== undefined &&
            (workspace.startsWith('packages/') ||
              (workspace.startsWith('services/') && workspace !== `services/${other}`))
          );
        })
        .map(
          (name) =>
            `${path} imports ${name}: a package never imports a service, a service never imports another; they meet in contracts and events`,
        ),
    ),
  );
});

test('relative imports stay inside their workspace', () => {
  report(
    product.flatMap(({ path, imports, workspace }) =>
      imports
        .filter((name) => name.startsWith('.') && !target(path, name).startsWith(`${workspace}/`))
        .map((name) => `${path} imports ${name}: other workspaces are imported by their name`),
    ),
  );
});

test('every import is a dependency that the workspace declares', () => {
  report(
    product.flatMap(({ path, imports, workspace }) => {
      const { dependencies = {} } = JSON.parse(
        readFileSync(resolve(root, workspace, 'package.json'), 'utf8'),
      );
      return imports
        .filter(
          (name) => !name.startsWith('.') && !name.startsWith('node:') && !name.startsWith('@tradewind/'),
        )
        .map((name) =>
          name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/'),
        )
        .filter((name) => !(name in dependencies))
        .map(
          (name) =>
            `${path} imports ${name}, which ${workspace}/package.json does not declare: what is only hoisted vanishes one day`,
        );
    }),
  );
});

test('only what reads configuration reads the environment', () => {
  const allowed = /^(packages\/(process|testing)\/|tools\/|bench\/|packages\/database\/embedded\.ts)/;
  report(
    product
      .filter(({ path, source }) => source.includes('process.env') && !allowed.test(path))
      .map(
        ({ path }) =>
          `${path} reads process.env: configuration is read once, validated, and handed on as arguments`,
      ),
  );
});

test('the contract names a topic once: no code repeats it', () => {
  const topics = globSync('proto/tradewind/**/*.proto', { cwd: root }).flatMap((path) =>
    [
      ...readFileSync(resolve(root, path), 'utf8').matchAll(
        /option \(tradewind\.messaging\.v1\.topic\) = \{\s*name: "([^"]+)"/g,
      ),
    ].map(([, name]) => name ?? ''),
  );
  expect(topics).toContain('order.created');
  report(
    product
      .filter(({ path }) => /^(packages|services)\//.test(path))
      .flatMap(({ path, source }) =>
        topics
          // One word alone may be the name of other things, too.
          .filter((topic) => topic.includes('.'))
          .filter((topic) => code(source).includes(`'${topic}'`) || code(source).includes(`"${topic}"`))
          .map((topic) => `${path} spells the topic ${topic}: take it from the contract`),
      ),
  );
});

test('a handler’s file is named after its topic, a call’s after its method', () => {
  for (const service of services) {
    const proto = globSync(`proto/tradewind/*/v1/*.proto`, { cwd: root })
      .map((path) => readFileSync(resolve(root, path), 'utf8'))
      .join('\n');
    for (const path of globSync(`services/${service}/on/*.ts`, { cwd: root })) {
      expect(proto, `${path}: no contract names the topic`).toContain(`name: "${basename(path, '.ts')}"`);
    }
    const own = readFileSync(resolve(root, `proto/tradewind/${service}/v1/${service}.proto`), 'utf8');
    const methods = [...own.matchAll(/rpc (\w+)\(/g)].map(([, name = '']) =>
      name.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase(),
    );
    const found = globSync(`services/${service}/rpc/*.ts`, { cwd: root }).map((path) =>
      basename(path, '.ts'),
    );
    expect(found, `services/${service}/rpc has one file for each method`).toEqual(
      expect.arrayContaining(methods),
    );
  }
});

test('no file has a name that says nothing', () => {
  const banned = /^(common|shared|core|lib|utils?|helpers?|misc|types|constants|index|manager|processor)$/;
  report(
    files
      .filter(({ path }) => path.split('/').some((part) => banned.test(part.replace(/\.(test\.)?ts$/, ''))))
      .map(({ path }) => `${path}: a name that fits anything finds nothing`),
  );
});

test('files stay small enough to read', () => {
  report(
    product
      .filter(({ source }) => source.split('\n').length > 300)
      .map(
        ({ path, source }) =>
          `${path} has ${source.split('\n').length} lines; the alarm rings at 300, most stay under 200`,
      ),
  );
});

test('every schema step of a service is listed, named after its file, and next to the one before', async () => {
  const folders = globSync('services/*/migrations', { cwd: root });
  expect(folders.length).toBeGreaterThan(2);
  for (const folder of folders) {
    const names = globSync(`${folder}/*.ts`, { cwd: root })
      .map((path) => basename(path, '.ts'))
      .toSorted();
    const steps = await Promise.all(names.map((name) => stepIn(`${folder}/${name}.ts`)));
    expect(
      steps.map(({ step }) => step.name),
      `${folder}: a step has the name of its file`,
    ).toEqual(names);
    expect(
      names.map((name) => Number(/^\d{4}(?=-[a-z0-9-]+$)/.exec(name)?.[0])),
      `${folder}: numbers of four digits from 0001 on, without gaps`,
    ).toEqual(names.map((_, index) => index + 1));
    const listed = await import(resolve(root, folder, '../service.ts'));
    const own = (listed.service.schema.steps as SchemaStep[]).filter(({ name }) => !name.startsWith('0000-'));
    expect(own, `${folder}/../service.ts: schema.steps lists each, in the order of their numbers`).toEqual(
      steps.map(({ step }) => step),
    );
    for (const { step, variable } of steps)
      expect(variable, `${folder}/${step.name}.ts exports its name in camelCase`).toBe(
        step.name.slice(5).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
      );
  }
});

/** The one thing that a step's file exports. */
async function stepIn(path: string): Promise<{ variable: string; step: SchemaStep }> {
  const exported = Object.entries((await import(resolve(root, path))) as Record<string, SchemaStep>);
  const [only] = exported;
  if (!only || exported.length > 1)
    throw new Error(`${path} exports ${exported.length} things: a step a file`);
  return { variable: only[0], step: only[1] };
}

test('handlers touch nothing but their transaction', () => {
  report(
    product
      .filter(({ path }) => /^services\/\w+\/on\//.test(path))
      .filter(
        ({ imports, source }) =>
          imports.some((name) => /^node:(?!crypto)|client$|undici|^pg$/.test(name)) ||
          /\bfetch\(/.test(source),
      )
      .map(
        ({ path }) =>
          `${path} reaches outside: an effect outside is a fact of its own, done by its own worker`,
      ),
  );
});

function target(path: string, name: string): string {
  return name.startsWith('.') ? relative(root, resolve(root, dirname(path), name)) : name;
}

/** Without comments: they may name what they talk about. */
function code(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}
