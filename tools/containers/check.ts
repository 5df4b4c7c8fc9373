import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Settings } from '@tradewind/process/environment';
import { parse } from 'yaml';
import { readCommand } from './commands.ts';
import { type ComposeFile, readCompose } from './compose-file.ts';
import { readDockerfile } from './dockerfile.ts';
import { faultsOf, type Known, roles, targetFault } from './rules.ts';

export const FILES = [
  'docker-compose.yml',
  'Dockerfile',
  '.dockerignore',
  'ops/postgres/databases.sql',
  'ops/prometheus/prometheus.yml',
] as const;
export type FileName = (typeof FILES)[number];

/**
 * Holds the files for containers against the compose specification, each other and the code.
 * @param root of the checkout
 * @param instead other texts for some of the files
 * @returns what is wrong, a line each
 */
export async function checkContainers(
  root: string,
  instead: Partial<Readonly<Record<FileName, string>>> = {},
): Promise<string[]> {
  const text = (name: FileName) => instead[name] ?? readFileSync(join(root, name), 'utf8');
  const ignore = text('.dockerignore');
  const { image, faults: dockerfile } = readDockerfile(text('Dockerfile'), { root, ignore });
  const databases = [...text('ops/postgres/databases.sql').matchAll(/^CREATE DATABASE "?(\w+)"?;/gm)];
  const known: Known = {
    root,
    ignore,
    image,
    settings: await settingsOf(root),
    databases: databases.map(([, name = '']) => name),
  };
  const { file, faults: compose } = readCompose(text('docker-compose.yml'));
  const inside = image.commands.flatMap((command) => readCommand(command, known).faults);
  return [
    ...[...dockerfile, ...inside, ...unnamed(root, known)].map((fault) => `Dockerfile: ${fault}`),
    ...[...compose, ...(file ? faultsOf(file, known) : [])].map((fault) => `docker-compose.yml: ${fault}`),
    ...(file ? scraped(text('ops/prometheus/prometheus.yml'), file, known) : []),
  ];
}

/** The settings that each service's definition declares. */
async function settingsOf(root: string): Promise<Record<string, Settings>> {
  const found = globSync('services/*/service.ts', { cwd: root }).map(async (path) => {
    const { service } = (await import(pathToFileURL(join(root, path)).href)) as {
      service: { name: string; settings: Settings };
    };
    return [service.name, service.settings] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

/** npm takes the lockfile only with the manifests of all workspaces beside it. */
function unnamed(root: string, { ignore }: Known): string[] {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    workspaces: string[];
  };
  const manifests = globSync(
    workspaces.map((pattern) => `${pattern}/package.json`),
    { cwd: root },
  );
  const { faults } = readDockerfile(
    ['FROM node:24.0.0', 'USER node', ...manifests.map((path) => `COPY ${path} ${dirname(path)}/`)].join(
      '\n',
    ),
    { root, ignore },
  );
  return faults;
}

/** Each process that Prometheus asks must be there, and it must ask each that runs on. */
function scraped(text: string, file: ComposeFile, known: Known): string[] {
  const { scrape_configs: jobs } = parse(text) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  const targets = jobs.flatMap((job) => job.static_configs.flatMap((group) => group.targets));
  const asked = targets.map((target) => target.split(':') as [host: string, port: string]);
  const wrong = asked.flatMap(([host, port]) => {
    const fault = targetFault(host, Number(port), file);
    return fault === undefined ? [] : [`${host}:${port}: ${fault}`];
  });
  const hosts = new Set(asked.map(([host]) => host));
  const forgotten = [...roles(file, known)]
    .filter(([name, { roles: all }]) => !all.includes('migrate') && !hosts.has(name))
    .map(([name]) => `nobody asks ${name}`);
  return [...wrong, ...forgotten].map((fault) => `prometheus.yml: ${fault}`);
}
