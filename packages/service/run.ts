import { type ProcessConfig, runService } from '@tradewind/process/command';
import { readEnvironment, type Settings, type Sources, type Values } from '@tradewind/process/environment';
import { misspelt, openTelemetryVariables } from '@tradewind/process/variables';
import { startTelemetry } from '@tradewind/telemetry/start';
import type { CommonConfig, ServiceDefinition } from './define.ts';
import { migrate, newStep } from './migrate.ts';
import { runRoles } from './open.ts';
import { rebuildModel } from './rebuild.ts';

/** A service's main: serve, listen, migrate. The only place that reads the process's environment for it. */
export async function main<Own extends Settings>(definition: ServiceDefinition<Own>): Promise<void> {
  const { rebuild } = definition;
  await runService<Configured<Own>>({
    name: definition.name,
    version: definition.version,
    configure: (sources) => {
      const config = configOf(definition, sources);
      const variables = openTelemetryVariables(sources.env, config);
      return {
        config,
        variables,
        env: { ...sources.env, ...variables },
        warnings: misspelt(sources.env, Object.keys(definition.settings)),
        logLevel: config.LOG_LEVEL,
        shutdownMs: config.SHUTDOWN,
      };
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
    migrate: ({ config: { config }, ...context }) => migrate({ ...context, definition, config }),
    newStep,
    ...(rebuild && {
      rebuild: ({ config: { config }, ...context }) =>
        rebuildModel({ ...context, definition, config, rebuild }),
    }),
  });
}

/** A service's configuration, with what its process and its exporters read. */
interface Configured<Own extends Settings> extends ProcessConfig {
  readonly config: CommonConfig & Values<Own>;
  readonly env: Sources['env'];
}

/** Reads a service's configuration. @throws ConfigurationError that lists everything that is wrong */
export function configOf<Own extends Settings>(
  definition: ServiceDefinition<Own>,
  sources: Sources,
): CommonConfig & Values<Own> {
  return readEnvironment(definition.settings, sources) as CommonConfig & Values<Own>;
}
