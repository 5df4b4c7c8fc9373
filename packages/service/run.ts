import { migrateDown, migrateUp, migrationStatus, probeSchema } from '@tradewind/database/migrate';
import { type ProcessConfig, runService } from '@tradewind/process/command';
import { readEnvironment, type Settings, type Sources, type Values } from '@tradewind/process/environment';
import { waitFor } from '@tradewind/process/wait-for';
import { startTelemetry } from '@tradewind/telemetry/start';
import type { CommonConfig, ServiceDefinition } from './define.ts';
import { openServiceDatabase, openWhenThere, runRoles } from './open.ts';

/** A service's configuration, with what its process and its exporters read. */
interface Configured<Own extends Settings> extends ProcessConfig {
  readonly config: CommonConfig & Values<Own>;
  readonly env: Sources['env'];
}

/** A service's main: serve, listen, migrate. The only place that reads the process's environment for it. */
export async function main<Own extends Settings>(definition: ServiceDefinition<Own>): Promise<void> {
  const { rebuild } = definition;
  await runService<Configured<Own>>({
    name: definition.name,
    version: definition.version,
    configure: (sources) => {
      const config = configOf(definition, sources);
      return { config, env: sources.env, logLevel: config.LOG_LEVEL, shutdownMs: config.SHUTDOWN };
    },
    async run({ config: { config, env }, ...context }) {
      const { name, version } = definition;
      await using telemetry = await startTelemetry({
        service: name,
        version,
        logger: context.logger,
        exporter: config.OTEL_SDK_DISABLED ? 'none' : config.OTEL_TRACES_EXPORTER,
        sampler: config.OTEL_TRACES_SAMPLER,
        ratio: config.OTEL_TRACES_SAMPLER_ARG,
        env,
      });
      await runRoles({ ...context, definition, config, spans: () => telemetry.spans });
    },
    async migrate({ config, direction, print, logger, signal, waits }) {
      await using database = await openServiceDatabase(definition, config.config, logger, {
        statementTimeoutMs: 0,
      });
      await waitFor({ name: 'database', probe: () => database.probe(), signal, logger, waits });
      if (direction === 'status') {
        const { applied, pending } = await migrationStatus(database);
        for (const { name, at } of applied) print(`applied  ${name}  ${at.toISOString()}`);
        for (const name of pending) print(`missing  ${name}`);
        return;
      }
      const steps = direction === 'up' ? await migrateUp(database) : await migrateDown(database);
      print(steps.length === 0 ? 'nothing to do' : `${direction}: ${steps.join(', ')}`);
    },
    ...(rebuild && {
      async rebuild({ config: { config }, print, logger, signal, waits }) {
        await using database = await openServiceDatabase(definition, config, logger, {
          statementTimeoutMs: 0,
        });
        await waitFor({ name: 'database', probe: () => database.probe(), signal, logger, waits });
        await waitFor({ name: 'schema', probe: () => probeSchema(database), signal, logger, waits });
        await using log = await openWhenThere(definition, config, { signal, logger, waits });
        await rebuild({ database, log, logger, signal, print });
      },
    }),
  });
}

/** Reads a service's configuration. @throws ConfigurationError that lists everything that is wrong */
export function configOf<Own extends Settings>(
  definition: ServiceDefinition<Own>,
  sources: Sources,
): CommonConfig & Values<Own> {
  return readEnvironment(definition.settings, sources) as CommonConfig & Values<Own>;
}
