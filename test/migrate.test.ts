import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { startService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { service as order } from '../services/order/service.ts';
import { Commands, orderMain, root } from './service-command.ts';

vi.setConfig({ testTimeout: 120_000 });

let commands: Commands;
beforeEach(async () => {
  commands = await Commands.open();
});
afterEach(() => commands[Symbol.asyncDispose]());

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('migrate reset', () => {
  const names = order.schema.steps.map((step) => step.name);

  async function ordered() {
    const urls = await commands.addresses();
    const { DATABASE_URL, EVENT_LOG_URL } = urls;
    const service = await startService(order, { databaseUrl: DATABASE_URL, logUrl: EVENT_LOG_URL });
    await using _ = service;
    for (let n = 0; n < 3; n++) {
      const { status } = await fetch(`${service.url}/api/v1/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': `order-${n}` },
        body: JSON.stringify({ product_id: 1, total_price: 100, total_quantity: 1 }),
      });
      expect(status).toBe(201);
    }
    const sent = async () => (await ask(DATABASE_URL, 'SELECT FROM outbox')).length;
    await expect.poll(sent).toBe(0);
    return urls;
  }

  test('says what would be lost, and does it when it is told so: an empty database with every step, on which the service works', async () => {
    const env = await ordered();
    const { host, pathname } = new URL(env.DATABASE_URL);
    const secret = withPassword(env.DATABASE_URL);
    const asked = await commands.run(orderMain, ['migrate', 'reset'], { ...env, DATABASE_URL: secret });
    expect(asked.code).toBe(2);
    expect(asked.output).toBe(
      `order: migrate reset destroys all data in ${host}${pathname}: rows of idempotency_key 3, orders 3. Nothing brings it back, and the event ` +
        'log and other services keep what they know of it. To do it, say --yes (by npm: "npm run migrate -w <service> -- reset --yes")\n',
    );
    expect(await ask(env.DATABASE_URL, 'SELECT FROM orders')).toHaveLength(3);

    const done = await commands.run(orderMain, ['migrate', 'reset', '--yes'], {
      ...env,
      DATABASE_URL: secret,
    });
    expect(done).toEqual({
      code: 0,
      output: `down: ${names.toReversed().join(', ')}\nup: ${names.join(', ')}\n`,
    });
    expect(await ask(env.DATABASE_URL, 'SELECT FROM orders')).toHaveLength(0);
    const status = await commands.run(orderMain, ['migrate', 'status'], env);
    expect(
      status.output
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/).slice(0, 2)),
    ).toEqual(names.map((name) => ['applied', name]));
    await using again = await startService(order, {
      databaseUrl: env.DATABASE_URL,
      logUrl: env.EVENT_LOG_URL,
    });
    const { orders } = (await (await fetch(`${again.url}/api/v1/orders`)).json()) as { orders: unknown[] };
    expect(orders).toEqual([]);
  });

  test('is refused while a process of the service is connected, and nothing is changed', async () => {
    const env = await commands.addresses();
    await using service = await startService(order, {
      databaseUrl: env.DATABASE_URL,
      logUrl: env.EVENT_LOG_URL,
    });
    const reset = () => commands.run(orderMain, ['migrate', 'reset', '--yes'], env);
    // Its relay and its listener stay connected, its pool only while there is work.
    const connected = async () =>
      (
        await ask(
          env.DATABASE_URL,
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('relay', 'order listener')`,
        )
      ).length;
    await expect.poll(connected).toBe(2);
    const { code, output } = await reset();
    expect(code).toBe(1);
    expect(output).toMatch(
      /^order: processes of order are connected to .*order listener \(1\).*relay \(1\)\. Stop them first; nothing was changed\n$/,
    );
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
    await service.stop();
    expect((await reset()).code).toBe(0);
  });

  test('a failure half-way is told, and the next one goes on from there', async () => {
    const env = await commands.addresses();
    {
      await using database = await openDatabase({
        url: env.DATABASE_URL,
        schema: order.schema,
        name: 'test',
      });
      await migrateUp(database);
    }
    await ask(env.DATABASE_URL, 'CREATE VIEW watching AS SELECT id FROM orders');
    const failed = await commands.run(orderMain, ['migrate', 'reset', '--yes'], env);
    expect(failed.code).toBe(1);
    expect(failed.output).toContain('cannot drop table orders because other objects depend on it');
    const status = await commands.run(orderMain, ['migrate', 'status'], env);
    expect(status.output).toMatch(/applied {2}0001-orders .*\nmissing {2}0002-waiting\n$/);
    await ask(env.DATABASE_URL, 'DROP VIEW watching');
    expect((await commands.run(orderMain, ['migrate', 'reset', '--yes'], env)).code).toBe(0);
    expect((await commands.run(orderMain, ['migrate', 'status'], env)).output).not.toContain('missing');
  });
});

describe('migrate new', () => {
  /** The order service's own main, in a commands.folder that may be written to. */
  async function copy(): Promise<string> {
    const main = join(commands.folder, 'main.ts');
    const of = (path: string) => pathToFileURL(join(root, path)).href;
    await writeFile(
      main,
      `import { main } from '${of('packages/service/run.ts')}';\nimport { service } from '${of('services/order/service.ts')}';\nawait main(service);\n`,
    );
    await writeFile(join(commands.folder, 'service.ts'), '');
    await mkdir(join(commands.folder, 'migrations'));
    await writeFile(join(commands.folder, 'migrations', '0001-orders.ts'), '');
    return main;
  }

  test('needs no settings and no database, writes the next file, and says which lines list it', async () => {
    const main = await copy();
    const { code, output } = await commands.run(main, ['migrate', 'new', 'shipping-address']);
    expect(output).toBe(
      [
        'migrations/0002-shipping-address.ts: fill in "up" and "down", then list it in service.ts:',
        "  import { shippingAddress } from './migrations/0002-shipping-address.ts';",
        '  schema: { …, steps: […, shippingAddress] },    at the end of the steps',
        '',
      ].join('\n'),
    );
    expect(code).toBe(0);
    expect(await readFile(join(commands.folder, 'migrations', '0002-shipping-address.ts'), 'utf8')).toContain(
      "export const shippingAddress: SchemaStep = {\n  name: '0002-shipping-address',",
    );
  });

  test('refuses a name that is taken, with exit code 2', async () => {
    const { code, output } = await commands.run(await copy(), ['migrate', 'new', 'orders']);
    expect(output).toBe('order: there is 0001-orders.ts already: give the new step a name of its own\n');
    expect(code).toBe(2);
  });
});

function withPassword(url: string): string {
  return Object.assign(new URL(url), { password: 's3cret' }).href;
}
