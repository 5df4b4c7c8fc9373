import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { installJaeger } from '@tradewind/testing/jaeger/install';
import { checkCollector } from './ops/collector.ts';
import { dashboardFaults, dashboardsIn, expressionsOf } from './ops/dashboards.ts';
import { installPromtool } from './ops/promtool.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const say = (line: string) => process.stdout.write(`${line}\n`);

/** Runs promtool on files of ours. @returns what it says when it fails */
async function promtool(program: string, ...args: readonly string[]): Promise<string[]> {
  try {
    await run(program, args, { cwd: root });
    return [];
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return [`promtool ${args.join(' ')}:\n${stdout}${stderr}`];
  }
}

/** What dashboards ask for, as rules, for these promtool can read. */
async function checkExpressions(program: string): Promise<string[]> {
  const expressions = [...dashboardsIn(root).values()].flatMap(expressionsOf);
  const rules = expressions.map((expr, n) => ({ record: `dashboard:expression:${n}`, expr }));
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-ops-'));
  try {
    const file = join(folder, 'dashboards.yml');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboards', rules }] }));
    return await promtool(program, 'check', 'rules', '--lint=none', file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function check(): Promise<string[]> {
  const program = await installPromtool(say);
  // Jaeger is a Collector, with all that our configuration names.
  const collector = await installJaeger(say);
  return [
    ...(await promtool(program, 'check', 'config', 'ops/prometheus/prometheus.yml')),
    ...(await promtool(
      program,
      'check',
      'rules',
      '--lint-fatal',
      'ops/prometheus/records.yml',
      'ops/prometheus/alerts.yml',
    )),
    ...(await promtool(program, 'test', 'rules', 'ops/prometheus/alerts.test.yml')),
    ...dashboardFaults(root),
    ...(await checkExpressions(program)),
    ...(await checkCollector(collector, join(root, 'ops/collector/collector.yml'))),
  ];
}

/** `npm run check:ops`: whether what `ops/` brings does what it is for. `--build` only gets what that needs. Exit code 1 when anything is wrong. */
if (process.argv.includes('--build')) say(await installPromtool(say));
else {
  const faults = await check();
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  if (faults.length === 0)
    say('Prometheus, Grafana and the Collector would take what is in ops/, and the alerts fire as tested');
  process.exitCode = faults.length > 0 ? 1 : 0;
}
