import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventLogOf, type OpenLogOptions } from '@tradewind/messaging/open-log';
import { readEnvironment, type Sources } from '@tradewind/process/environment';
import { eventLogSettings, eventLogUrl, optional } from '@tradewind/process/settings';
import { given } from '@tradewind/process/variables';
import { isAlive } from '../start/identity.ts';
import { baseUrl } from '../start/launch.ts';
import { type StartOptions, startOptions } from '../start/options.ts';
import { variable } from '../start/services.ts';
import type { RecordedProcess, State } from '../start/state.ts';

/** Where the parts of a Tradewind are, as `npm start` with the same environment has them. */
export interface Whereabouts {
  readonly log: Pick<OpenLogOptions, 'url' | 'kafka'>;
  /** Connection strings, by service. */
  readonly databaseUrls: Readonly<Record<string, string>>;
  /** `http://127.0.0.1:3000`, by service. */
  readonly serviceUrls: Readonly<Record<string, string>>;
  /** What a starter on the data folder has started and what still runs; undefined when none runs there. */
  readonly processes: readonly (RecordedProcess & { readonly alive: boolean })[] | undefined;
  readonly env: Sources['env'];
}

/**
 * Finds everything: from the environment, else as the starter that runs on the data folder noted it, else where `npm start` puts it.
 * @throws ConfigurationError that lists everything that is wrong with the environment
 */
export function whereabouts(dataDir: string, env: Sources['env']): Whereabouts {
  const options = startOptions({ dataDir, env }, env);
  const settings = readEnvironment({ ...eventLogSettings, EVENT_LOG_URL: optional(eventLogUrl()) }, { env });
  const state = stateOf(options);
  const portOf = (name: string, chosenBy: string, otherwise: number) =>
    given(env, chosenBy) !== undefined ? otherwise : (state?.ports[name] ?? otherwise);
  const postgresPort = portOf('postgres', 'TRADEWIND_POSTGRES_PORT', options.postgresPort);
  const embedded = (database: string) => `postgres://postgres@127.0.0.1:${postgresPort}/${database}`;
  const byService = <T>(of: (name: string) => T) =>
    Object.fromEntries(options.services.map(({ name }) => [name, of(name)]));
  return {
    log: eventLogOf({ ...settings, EVENT_LOG_URL: settings.EVENT_LOG_URL ?? embedded('log') }),
    databaseUrls: byService((name) => options.databaseUrls[name] ?? embedded(name)),
    serviceUrls: byService(
      (name) =>
        given(env, variable(name, 'URL')) ??
        baseUrl(options.host, portOf(name, variable(name, 'PORT'), options.ports[name] ?? 0)),
    ),
    processes: state?.processes.map((process) => ({ ...process, alive: isAlive(process) })),
    env,
  };
}

function stateOf({ dataDir }: StartOptions): State | undefined {
  try {
    const state = JSON.parse(readFileSync(join(dataDir, 'running.json'), 'utf8')) as State;
    return isAlive(state.starter) ? state : undefined;
  } catch {
    return undefined;
  }
}
