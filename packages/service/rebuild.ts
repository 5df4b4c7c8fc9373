import { probeSchema } from '@tradewind/database/migrate';
import type { Context } from '@tradewind/process/command';
import type { Settings, Values } from '@tradewind/process/environment';
import { waitFor } from '@tradewind/process/wait-for';
import type { CommonConfig, RebuildContext, ServiceDefinition } from './define.ts';
import { openServiceDatabase, openWhenThere } from './open.ts';

export interface RebuildOptions<Own extends Settings>
  extends Pick<Context<unknown>, 'logger' | 'signal' | 'waits'> {
  readonly definition: ServiceDefinition<Own>;
  readonly config: CommonConfig & Values<Own>;
  readonly rebuild: (context: RebuildContext) => Promise<void>;
  readonly print: (line: string) => void;
}

/** Rebuilds a service's read model, once its database and the event log are there. */
export async function rebuildModel<Own extends Settings>(options: RebuildOptions<Own>): Promise<void> {
  const { definition, config, rebuild, print, logger, signal, waits } = options;
  await using database = await openServiceDatabase(definition, config, logger, {
    // Not the service's own: by that, its other processes are known.
    name: `${definition.name} rebuild`,
    statementTimeoutMs: 0,
  });
  await waitFor({ name: 'database', probe: () => database.probe(), signal, logger, waits });
  await waitFor({ name: 'schema', probe: () => probeSchema(database), signal, logger, waits });
  await using log = await openWhenThere(definition, config, { signal, logger, waits });
  await rebuild({ database, log, logger, signal, print });
}
