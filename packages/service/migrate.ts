import { relative } from 'node:path';
import { connectionsOf, contentsOf } from '@tradewind/database/contents';
import type { Database } from '@tradewind/database/database';
import { migrateDown, migrateReset, migrateUp, migrationStatus } from '@tradewind/database/migrate';
import { writeStep } from '@tradewind/database/new-step';
import { RELAY_CONNECTION } from '@tradewind/messaging/relay';
import { listenerConnection } from '@tradewind/messaging/session';
import type { Context, Migration } from '@tradewind/process/command';
import type { Settings, Values } from '@tradewind/process/environment';
import { Refusal } from '@tradewind/process/refusal';
import { waitFor } from '@tradewind/process/wait-for';
import { maskUrl } from '@tradewind/telemetry/logger';
import type { CommonConfig, ServiceDefinition } from './define.ts';
import { openServiceDatabase } from './open.ts';

type Print = (line: string) => void;

export interface MigrateOptions<Own extends Settings>
  extends Pick<Context<unknown>, 'logger' | 'signal' | 'waits'> {
  readonly definition: ServiceDefinition<Own>;
  readonly config: CommonConfig & Values<Own>;
  readonly migration: Migration;
  readonly print: Print;
}

/** Does to a service's schema what was asked for, once its database is there. @throws Refusal of what can't be made good again */
export async function migrate<Own extends Settings>(options: MigrateOptions<Own>): Promise<void> {
  const { definition, config, migration, print, logger, signal, waits } = options;
  await using database = await openServiceDatabase(definition, config, logger, {
    // Not the service's own: by that, its other processes are known.
    name: `${definition.name} migrate`,
    statementTimeoutMs: 0,
  });
  await waitFor({ name: 'database', probe: () => database.probe(), signal, logger, waits });
  const say = (did: string, steps: readonly string[]) =>
    print(steps.length === 0 ? 'nothing to do' : `${did}: ${steps.join(', ')}`);
  switch (migration.action) {
    case 'up':
      return say('up', await migrateUp(database));
    case 'down':
      return say('down', await migrateDown(database));
    case 'status':
      return await showStatus(database, print);
    case 'reset': {
      const where = placeOf(config.DATABASE_URL);
      if (!migration.yes) throw new Refusal(await warningOf(database, where), 2);
      await mustBeAlone(database, definition.name, where);
      const { down, up } = await migrateReset(database);
      if (down.length > 0) say('down', down);
      say('up', up);
    }
  }
}

async function showStatus(database: Database, print: Print): Promise<void> {
  const { applied, pending } = await migrationStatus(database);
  for (const { name, at } of applied) print(`applied  ${name}  ${at.toISOString()}`);
  for (const name of pending) print(`missing  ${name}`);
}

/** Host and name of a database: what people know it by, and no secret. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return host ? `${host}${pathname}` : maskUrl(url);
}

const SHOWN = 5;

async function warningOf(database: Database, where: string): Promise<string> {
  const contents = await contentsOf(database);
  const rows = contents
    .slice(0, SHOWN)
    .map(({ table, rows, more }) => `${table} ${more ? 'more than ' : ''}${rows.toLocaleString('en')}`);
  const others = contents.length - rows.length;
  const holds =
    rows.length === 0
      ? 'it holds no rows'
      : `rows of ${rows.join(', ')}${others > 0 ? `, and ${others} more tables` : ''}`;
  return (
    `migrate reset destroys all data in ${where}: ${holds}. Nothing brings it back, and the event log and other services keep what they know of it. ` +
    'To do it, say --yes (by npm: "npm run migrate -w <service> -- reset --yes")'
  );
}

/** A process that works on tables while they go would fail of it, or write into new ones what belongs to the old. */
async function mustBeAlone(database: Database, service: string, where: string): Promise<void> {
  const others = await connectionsOf(database, [service, listenerConnection(service), RELAY_CONNECTION]);
  if (others.length === 0) return;
  const named = others.map(({ name, connections }) => `${name} (${connections})`).join(', ');
  throw new Refusal(
    `processes of ${service} are connected to ${where}: ${named}. Stop them first; nothing was changed`,
  );
}

/** Writes the file of a new step, and says how to list it. @throws Refusal */
export async function newStep({
  name,
  folder,
  print,
}: {
  readonly name: string;
  readonly folder: string;
  readonly print: Print;
}): Promise<void> {
  const step = await writeStep(folder, name);
  print(`${relative(process.cwd(), step.path)}: fill in "up" and "down", then list it in service.ts:`);
  print(`  import { ${step.variable} } from './migrations/${step.name}.ts';`);
  print(`  schema: { …, steps: […, ${step.variable}] },    at the end of the steps`);
}
