/**
 * A process that counts ratings and projects them, so that a test can kill it. The one argument is `RatingProcessOptions` as JSON. It writes
 * a line once its worker runs, and one after each commit.
 */
import { randomInt } from 'node:crypto';
import { openDatabase } from '@tradewind/database/database';
import { createLogger } from '@tradewind/telemetry/logger';
import { Metrics } from '@tradewind/telemetry/metrics';
import { openProjection } from '../redis/projection.ts';
import { type Rating, rate, schema } from './read-model.ts';

export interface RatingProcessOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** What it rates once; left out: random subjects of these many, again and again. */
  readonly once?: readonly Rating[];
  readonly subjects?: number;
}

const {
  databaseUrl,
  redisUrl,
  once,
  subjects = 50,
} = JSON.parse(process.argv[2] ?? '{}') as RatingProcessOptions;
const database = await openDatabase({ url: databaseUrl, name: 'child', schema, poolSize: 4 });
const projection = openProjection({
  url: redisUrl,
  timeoutMs: 1_000,
  database,
  logger: createLogger({ service: 'child', level: 'silent' }),
  metrics: new Metrics('child'),
});
const working = projection.work(new AbortController().signal);
process.stdout.write('working\n');
for (let n = 0; n === 0 || !once; n++) {
  const some = Array.from(
    { length: randomInt(1, 8) },
    (): Rating => [`product/${randomInt(subjects)}`, randomInt(1, 6)],
  );
  await rate(database, ...(once ?? some));
  process.stdout.write('committed\n');
}
await working;
