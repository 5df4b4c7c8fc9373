import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError, readEnvironment, type Settings } from '@tradewind/process/environment';
import { given, withoutPrefix } from '@tradewind/process/variables';
import { type Place, readCommand, type ServiceCommand } from './commands.ts';
import type { ComposeFile, ComposeService } from './compose-file.ts';
import { isPinned } from './images.ts';

/** What the rules compare a compose file with. */
export interface Known extends Place {
  /** The settings of each service, by its name. */
  readonly settings: Readonly<Record<string, Settings>>;
  /** The databases that are made at the first start. */
  readonly databases: readonly string[];
}

/** What Node and the image take from the environment besides settings. */
const PLATFORM = new Set(['NODE_OPTIONS', 'NODE_COMPILE_CACHE', 'NODE_ENV', 'HOST']);

/** Everything that is wrong with a compose file, a line each. */
export function faultsOf(file: ComposeFile, known: Known): string[] {
  const each = Object.entries(file.services).flatMap(([name, service]) =>
    [
      ...imageFaults(service),
      ...(service.build === undefined ? thirdParty(service) : ours(service, file, known)),
      ...durationFaults(service),
      ...portFaults(service),
      ...volumeFaults(service, file, known.root),
      ...dependencyFaults(service, file),
    ].map((fault) => `${name}: ${fault}`),
  );
  return [...each, ...twins(file), ...cycles(file), ...absent(file, known)];
}

/** Name by name, which service it runs and as what. */
export function roles(file: ComposeFile, known: Place): ReadonlyMap<string, ServiceCommand> {
  return new Map(
    Object.entries(file.services).flatMap(([name, { build, command }]) => {
      const runs = build === undefined ? undefined : readCommand(words(command), known).runs;
      return runs ? [[name, runs] as const] : [];
    }),
  );
}

function words(command: ComposeService['command']): readonly string[] {
  return typeof command === 'string' ? command.split(/\s+/) : (command ?? []);
}

function imageFaults({ image, build }: ComposeService): string[] {
  if (build !== undefined) return [];
  return image !== undefined && isPinned(image) ? [] : [`image ${image} is not pinned to a version`];
}

function thirdParty({ user, healthcheck }: ComposeService): string[] {
  return [
    ...(user === undefined || /^(root|0)(:|$)/.test(user) ? ['it runs as root: say a user'] : []),
    ...(healthcheck?.test === undefined ? ['it has no health check'] : []),
  ];
}

function ours(service: ComposeService, file: ComposeFile, known: Known): string[] {
  const { runs, faults } = readCommand(words(service.command), known);
  const once = service.restart === 'no';
  const all = [...faults, ...addressFaults(service, file, known)];
  if (/^(root|0)(:|$)/.test(service.user ?? '')) all.push('it runs as root');
  if (service.healthcheck?.disable && !once) all.push('it has no health check');
  if (!once) all.push(...listeningFaults(service, known.image));
  if (!runs) return all;
  const env = Object.fromEntries(
    Object.entries({ ...known.image.env, ...service.environment }).map(([key, value]) => [
      key,
      String(value),
    ]),
  );
  const settings = known.settings[runs.service];
  if (!settings) return [...all, `there is no service ${runs.service}`];
  for (const key of Object.keys(service.environment ?? {}))
    if (!(withoutPrefix(key) in settings) && !PLATFORM.has(key))
      all.push(`${runs.service} knows no setting ${key}`);
  try {
    readEnvironment(settings, { env });
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    all.push(...error.mistakes.map(({ name, problem }) => `${name} ${problem}`));
  }
  if (runs.roles.includes('serve') && settingOf(service, 'PORT') === undefined)
    all.push('it serves without a PORT');
  return all;
}

/** What runs on, and so has a health check, says where it answers. */
function listeningFaults(service: ComposeService, { exposed }: Known['image']): string[] {
  const ports = listensOn(service);
  if (ports.length === 0) return ['neither PORT nor HEALTH_PORT says where its health is'];
  return ports
    .filter((port) => !exposed.includes(port))
    .map((port) => `the Dockerfile does not expose ${port}`);
}

function settingOf({ environment = {} }: ComposeService, name: string): string | undefined {
  const texts = Object.entries(environment).map(([key, value]) => [key, String(value)]);
  return given(Object.fromEntries(texts), name);
}

function listensOn(service: ComposeService): number[] {
  const ports = ['PORT', 'HEALTH_PORT'].map((name) => settingOf(service, name));
  return ports.filter((port) => port !== undefined).map(Number);
}

/** The schema takes any text for a duration; compose does not. */
function durationFaults({ stop_grace_period, healthcheck = {} }: ComposeService): string[] {
  const { interval, timeout, start_period, start_interval } = healthcheck;
  return Object.entries({ stop_grace_period, interval, timeout, start_period, start_interval })
    .filter(([, text]) => text !== undefined && !/^(\d+(\.\d+)?(h|m|s|ms|us))+$/.test(text))
    .map(([name, text]) => `${name} must be a duration such as 1m30s, not ${text}`);
}

/** Whatever of our environment names a host must name a service here, and one of ours at the port where it listens. */
function addressFaults(
  { environment = {} }: ComposeService,
  file: ComposeFile,
  { databases }: Known,
): string[] {
  return Object.entries(environment).flatMap(([key, value]) => {
    const text = String(value);
    if (!/^\w+:\/\//.test(text) || !URL.canParse(text)) return [];
    const { hostname, port, protocol, pathname } = new URL(text);
    const fault = targetFault(hostname, Number(port), file);
    const database = decodeURIComponent(pathname.slice(1));
    return [
      ...(fault === undefined ? [] : [`${key}: ${fault}`]),
      ...(protocol.startsWith('postgres') && !databases.includes(database)
        ? [`${key}: nobody makes a database ${database}`]
        : []),
    ];
  });
}

/** Why nothing in the file answers at an address, or undefined when something does. */
export function targetFault(host: string, port: number, file: ComposeFile): string | undefined {
  const target = file.services[host];
  if (!target) return `there is no service ${host}`;
  if (target.build === undefined) {
    const { KAFKA_LISTENERS: listeners } = target.environment ?? {};
    if (listeners === undefined || String(listeners).includes(`:${port}`)) return undefined;
    return `${host} does not listen on ${port}`;
  }
  return listensOn(target).includes(port) ? undefined : `${host} does not listen on ${port}`;
}

const PUBLISHED = /^127\.0\.0\.1:(\d+):(\d+)$/;

function portFaults(service: ComposeService): string[] {
  return (service.ports ?? []).flatMap((given) => {
    const [, , inside] = PUBLISHED.exec(String(given)) ?? [];
    if (inside === undefined) return [`port ${JSON.stringify(given)} is not published on 127.0.0.1 alone`];
    if (service.build === undefined) return [];
    const own = listensOn(service);
    return own.includes(Number(inside))
      ? []
      : [`port ${String(given)} leads to ${inside}, and it listens on ${own.join(' and ')}`];
  });
}

function volumeFaults({ volumes = [] }: ComposeService, file: ComposeFile, root: string): string[] {
  return volumes.flatMap((volume) => {
    const [source = ''] = String(volume).split(':');
    if (!source.startsWith('.'))
      return source in (file.volumes ?? {}) ? [] : [`there is no volume ${source}`];
    return existsSync(join(root, source)) ? [] : [`there is no ${source} to mount`];
  });
}

function dependencyFaults({ depends_on: needs = {} }: ComposeService, { services }: ComposeFile): string[] {
  return Object.entries(needs).flatMap(([name, { condition }]) => {
    const needed = services[name];
    if (!needed) return [`it waits for ${name}, which is not there`];
    if (condition === 'service_completed_successfully')
      return needed.restart === 'no' ? [] : [`it waits for the end of ${name}, which is started again`];
    if (condition !== 'service_healthy') return [`it waits for ${name} to be started, not to be healthy`];
    const checked = needed.build !== undefined || needed.healthcheck?.test !== undefined;
    return checked && !needed.healthcheck?.disable
      ? []
      : [`it waits for the health of ${name}, which has none`];
  });
}

function twins({ services }: ComposeFile): string[] {
  const taken = new Map<string, string>();
  return Object.entries(services).flatMap(([name, { ports = [] }]) =>
    ports.flatMap((given) => {
      const [, outside = ''] = PUBLISHED.exec(String(given)) ?? [];
      const other = taken.get(outside);
      taken.set(outside, name);
      return other === undefined || outside === '' ? [] : [`${name}: port ${outside} is ${other}'s already`];
    }),
  );
}

function cycles({ services }: ComposeFile): string[] {
  const needs = (name: string) => Object.keys(services[name]?.depends_on ?? {});
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    needs(from).some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  return Object.keys(services)
    .filter((name) => reaches(name, name))
    .map((name) => `${name}: it waits for itself`);
}

/** Each service must be migrated, serve and listen. */
function absent(file: ComposeFile, known: Known): string[] {
  const all = [...roles(file, known).values()];
  return Object.keys(known.settings).flatMap((service) =>
    ['migrate', 'serve', 'listen']
      .filter((role) => !all.some((runs) => runs.service === service && runs.roles.includes(role)))
      .map((role) => `nothing runs ${service} ${role}`),
  );
}
