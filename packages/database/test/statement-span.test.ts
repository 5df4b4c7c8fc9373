import { Span } from '@tradewind/telemetry/span';
import { startTelemetry, type Telemetry } from '@tradewind/telemetry/start';
import { createDatabase } from '@tradewind/testing/postgres';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Collector, startCollector } from '../../telemetry/test/collector.ts';
import { afterCommit } from '../after-commit.ts';
import { type Database, openDatabase } from '../database.ts';
import { run, statement } from '../statement.ts';

let scope: AsyncDisposableStack;
let collector: Collector;
let telemetry: Telemetry;
let database: Database;
beforeAll(async () => {
  scope = new AsyncDisposableStack();
  collector = scope.use(await startCollector());
  telemetry = scope.use(
    await startTelemetry({
      service: 'test',
      version: '1',
      logger: pino({ level: 'silent' }),
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '10',
      },
    }),
  );
  const { url } = scope.use(await createDatabase('spans'));
  database = scope.use(
    await openDatabase({ url, name: 'test', schema: { entities: [], steps: [] }, poolSize: 1 }),
  );
});
afterAll(() => scope.disposeAsync());

/** Spans below one, once all that was recorded has left. */
async function below(parent: Span) {
  await expect.poll(() => telemetry.spans.exported === telemetry.spans.ended).toBe(true);
  return collector.spans.filter(({ parentSpanId }) => parentSpanId === parent.context.spanId);
}
const root = () => new Span('root', { scope: 'test', parent: null });
const declared = statement('SELECT count(*) FROM pg_class WHERE relname = $1');

test('a statement of a pool that is busy belongs to whoever asked, and lasts as long as it does', async () => {
  const [a, b] = [root(), root()];
  await Promise.all([
    a.run(() => database.pool.query('SELECT pg_sleep(0.2)')),
    b.run(() => database.pool.query('SELECT relname FROM pg_class LIMIT 1')),
  ]);
  const [slow, ...more] = await below(a);
  expect(more).toEqual([]);
  const ns = ({
    startTimeUnixNano: from,
    endTimeUnixNano: to,
  }: {
    startTimeUnixNano: string;
    endTimeUnixNano: string;
  }) => Number(BigInt(to) - BigInt(from));
  expect(slow && ns(slow)).toBeGreaterThan(190_000_000);
  expect((await below(b)).map(({ name }) => name)).toEqual(['SELECT pg_class']);
});

test('one that fails has its SQLSTATE and no word of the server; values are nowhere', async () => {
  const span = root();
  // The ORM's first transaction looks whether the database is there.
  await database.transaction(async () => undefined);
  await span.run(async () => {
    await expect(database.pool.query(`SELECT 'alice'::int`)).rejects.toThrow('alice');
    await database.transaction((em) => run(em, declared, ['alice']));
  });
  const spans = await below(span);
  const failed = spans.find(({ status }) => status.code === 2);
  expect(failed?.attributes).toContainEqual({ key: 'error.type', value: { stringValue: '22P02' } });
  expect(spans.map(({ name }) => name)).toEqual(['SELECT', 'BEGIN', 'SELECT pg_class', 'COMMIT']);
  expect(spans[2]?.attributes).toContainEqual({
    key: 'db.query.text',
    value: { stringValue: declared.text },
  });
  expect(JSON.stringify(collector.spans)).not.toContain('alice');
});

test('what waits for a commit is done after one, and never after a rollback', async () => {
  const done: string[] = [];
  const doomed = database.transaction(async (em) => {
    afterCommit(em, () => done.push('rolled back'));
    await run(em, declared, ['x']);
    throw new Error('no');
  });
  await expect(doomed).rejects.toThrow('no');
  await database.transaction(async (em) => {
    afterCommit(em, () => done.push('committed'));
    expect(done).toEqual([]);
  });
  expect(done).toEqual(['committed']);
});
