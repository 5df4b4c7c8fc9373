import { setTimeout as sleep } from 'node:timers/promises';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { createClient } from '@tradewind/rpc/client';
import { Client } from 'pg';
import type { LogName, PerLog } from './options.ts';
import type { PlainAnswer } from './plain-ratings.ts';
import type { RushAnswer, RushQuestion, StreamAnswer, StreamQuestion } from './ratings-load.ts';
import { assertDurable, openBroker, type RunContext, startOwn } from './stage.ts';
import { median, type Spread, spread } from './statistics.ts';
import { treeUsageOf, usageOf } from './usage.ts';
import { startWorker, type Worker } from './worker.ts';

/** Requests a second, against those of the yardstick in the same run. */
export interface Rate {
  readonly perSecond: number;
  readonly plainPerSecond: number;
  /** Median over the rounds. */
  readonly ratio: number;
  /** Of a request with every client busy, milliseconds. */
  readonly answerMs: Spread;
  /** CPU microseconds of a request, until what follows of it is done: the server's processes, and PostgreSQL's. */
  readonly cpuMicros: Cpu;
  readonly plainCpuMicros: Cpu;
}

export interface Cpu {
  readonly server: number;
  readonly postgres: number;
}

/** Ratings at a fixed rate, milliseconds since they were due. */
export interface Visible {
  readonly rate: number;
  readonly acceptedMs: Spread;
  readonly visibleMs: Spread;
}

export interface RatingsBench {
  readonly accepted: Rate;
  readonly reads: Rate;
  readonly steady: readonly Visible[];
  /** Ratings of many talks while one of them gets most, and the same number a second evenly spread: of the many alone. */
  readonly besideHot: Visible;
  readonly even: Visible;
}

export interface RatingsOptions {
  readonly logs: readonly LogName[];
  readonly rounds: number;
  readonly ratings: number;
  readonly clients: number;
  readonly rates: readonly number[];
  readonly seconds: number;
}

const TALKS = 10_000;
const SUBJECTS = 1_000;
const HOT_RATE = 1_500;
const HOT_SHARE = 2 / 3;

interface Stage {
  readonly url: string;
  readonly plainUrl: string;
  readonly look: Client;
  readonly load: Worker;
  /** CPU seconds so far. */
  readonly used: () => Readonly<Record<'ours' | 'plain' | 'postgres', number>>;
  readonly talks: readonly string[];
  readonly paths: readonly string[];
}

/** Ratings and reads of them, against plain Fastify and node-pg on the same PostgreSQL, in turn. */
export async function benchRatings(
  context: RunContext,
  options: RatingsOptions,
): Promise<PerLog<RatingsBench>> {
  const results: Partial<Record<LogName, RatingsBench>> = {};
  for (const log of options.logs) {
    await using scope = new AsyncDisposableStack();
    results[log] = await onStage(await openStage(scope, context, log), context, options);
  }
  return results;
}

async function onStage(
  stage: Stage,
  { signal, say }: RunContext,
  options: RatingsOptions,
): Promise<RatingsBench> {
  const { load, url, plainUrl, talks, paths } = stage;
  const { ratings: count, clients, rounds, seconds } = options;
  const plainPaths = Array.from({ length: SUBJECTS }, (_, n) => `/subjects/s-${n}`);
  const rush = (question: Omit<RushQuestion, 'kind' | 'clients'>) =>
    load.ask<RushQuestion, RushAnswer>({ kind: 'rush', clients, ...question });
  const rate = async (url: string) => {
    const answer = await rush({ url, count, talks });
    await untilCounted(stage, signal);
    return answer;
  };
  const kinds = [
    ['ratings accepted', () => rate(url), () => rush({ url: plainUrl, count, talks })],
    ['reads', () => rush({ url, count, paths }), () => rush({ url: plainUrl, count, paths: plainPaths })],
  ] as const;
  say('warming up');
  for (const [, ours, plain] of kinds) {
    await ours();
    await plain();
  }
  const rates: Rate[] = [];
  for (const [what, ours, plain] of kinds) {
    const done: Round[] = [];
    for (let n = 0; n < rounds; n++) {
      const both = {
        ours: () => measured(stage, 'ours', ours),
        plain: () => measured(stage, 'plain', plain),
      };
      const first = n % 2 === 0 ? await both.ours() : await both.plain();
      const second = n % 2 === 0 ? await both.plain() : await both.ours();
      const round = n % 2 === 0 ? { ours: first, plain: second } : { ours: second, plain: first };
      done.push(round);
      say(
        `round ${n + 1}, ${what}: ${speed(round.ours, count).toFixed(0)}/s, plain ${speed(round.plain, count).toFixed(0)}/s`,
      );
    }
    rates.push(rateOf(done, count));
  }
  const stream = async (rate: number, hot?: StreamQuestion['hot']): Promise<Visible> => {
    const question = { kind: 'stream' as const, url, clients, rate, seconds, talks, ...(hot && { hot }) };
    say(`${rate} ratings a second for ${seconds} s${hot ? ', most of one talk' : ''}`);
    const { accepted, visible } = await load.ask<StreamQuestion, StreamAnswer>(question);
    await untilCounted(stage, signal);
    return { rate, acceptedMs: spread(accepted), visibleMs: spread(visible) };
  };
  const steady: Visible[] = [];
  for (const rate of options.rates) steady.push(await stream(rate));
  const even = await stream(HOT_RATE);
  const besideHot = await stream(HOT_RATE, { talk: 'hot', share: HOT_SHARE });
  await assertCounted(stage);
  const [accepted, reads] = rates;
  if (!accepted || !reads) throw new Error('nothing was measured');
  return { accepted, reads, steady, besideHot, even };
}

const speed = ({ startedAt, answeredAt }: RushAnswer, count: number) =>
  (count / (answeredAt - startedAt)) * 1_000;

type Measured = RushAnswer & Cpu;
interface Round {
  readonly ours: Measured;
  readonly plain: Measured;
}

async function measured(
  { used }: Stage,
  who: 'ours' | 'plain',
  work: () => Promise<RushAnswer>,
): Promise<Measured> {
  const before = used();
  const answer = await work();
  const after = used();
  return { ...answer, server: after[who] - before[who], postgres: after.postgres - before.postgres };
}

function rateOf(rounds: readonly Round[], count: number): Rate {
  const middle = (of: (round: Round) => number) => median(rounds.map(of));
  const cpu = (who: 'ours' | 'plain'): Cpu => ({
    server: (middle((round) => round[who].server) / count) * 1e6,
    postgres: (middle((round) => round[who].postgres) / count) * 1e6,
  });
  return {
    perSecond: middle(({ ours }) => speed(ours, count)),
    plainPerSecond: middle(({ plain }) => speed(plain, count)),
    ratio: middle(({ ours, plain }) => speed(ours, count) / speed(plain, count)),
    answerMs: spread(rounds.flatMap(({ ours }) => ours.latencies)),
    cpuMicros: cpu('ours'),
    plainCpuMicros: cpu('plain'),
  };
}

async function openStage(scope: AsyncDisposableStack, context: RunContext, log: LogName): Promise<Stage> {
  const broker = log === 'kafka' ? scope.use(await openBroker(context, 'ratings')) : undefined;
  const running = scope.use(
    await startOwn(context, `ratings-${log}`, broker?.url, {}, { only: ['ratings'], split: true }),
  );
  const { databaseUrls, serviceUrls } = running.addresses;
  const url = serviceUrls.ratings ?? '';
  const database = databaseUrls.ratings ?? '';
  const look = new Client({ connectionString: database, application_name: 'bench' });
  look.on('error', () => undefined);
  await look.connect();
  scope.defer(() => look.end().catch(() => undefined));
  await assertDurable(look);
  await look.query('CREATE DATABASE plain');
  const plain = scope.use(
    await startWorker(
      context.signal,
      './plain-ratings.ts',
      Object.assign(new URL(database), { pathname: '/plain' }).href,
    ),
  );
  const { url: plainUrl } = await plain.ask<null, PlainAnswer>(null);
  const load = scope.use(await startWorker(context.signal, './ratings-load.ts', database));
  // Ten thousand calls would only make the preparation longer.
  await look.query(
    `INSERT INTO subject (id, kind, name) SELECT 'talk-' || n, 'talk', 'Talk ' || n FROM generate_series(1, $1::int) AS n`,
    [TALKS],
  );
  await using ratings = createClient(RatingsService, { baseUrl: url, timeoutMs: 30_000 });
  await ratings.call.createTalk({ id: 'hot', title: 'Everybody was there' });
  const { customer } = await ratings.call.createCustomer({ name: 'C', email: 'c@example.com' });
  const paths: string[] = [];
  for (let n = 0; n < SUBJECTS; n++) {
    const email = `p${n}@example.com`;
    const { serviceProvider } = await ratings.call.createServiceProvider({ name: `P${n}`, email });
    const about = { case: 'serviceProviderId' as const, value: serviceProvider?.id ?? '' };
    await ratings.call.createRating({ subject: { about }, customerId: customer?.id ?? '', value: 4 });
    paths.push(`/v1/service-providers/${about.value}/average-rating`);
  }
  return {
    url,
    plainUrl,
    look,
    load,
    used: () => {
      const { postgres = 0, ...processes } = running.pids();
      return {
        ours: Object.values(processes).reduce((sum, pid) => sum + usageOf(pid).cpuSeconds, 0),
        plain: usageOf(plain.pid).cpuSeconds,
        postgres: treeUsageOf(postgres).cpuSeconds,
      };
    },
    talks: Array.from({ length: TALKS }, (_, n) => `talk-${n + 1}`),
    paths,
  };
}

const TOTAL = 'SELECT coalesce(sum(count_1 + count_2 + count_3 + count_4 + count_5), 0) AS n FROM tally';

async function untilCounted({ look }: Stage, signal: AbortSignal): Promise<void> {
  const { rows } = await look.query<{ n: string }>('SELECT count(*) AS n FROM rating');
  for (;;) {
    if ((await look.query<{ n: string }>(TOTAL)).rows[0]?.n === rows[0]?.n) return;
    await sleep(20, undefined, { signal });
  }
}

/** @throws Error unless each subject's histogram is what its ratings say: then no number counts */
async function assertCounted({ look }: Stage): Promise<void> {
  const columns = [1, 2, 3, 4, 5].map((n) => `count(*) FILTER (WHERE value = ${n}) AS count_${n}`).join(', ');
  const { rows } = await look.query<{ subject: string }>(`
    SELECT subject FROM (SELECT subject, ${columns} FROM rating GROUP BY subject) AS given
    FULL JOIN tally USING (subject, count_1, count_2, count_3, count_4, count_5)
    WHERE given.subject IS NULL OR tally.subject IS NULL`);
  if (rows.length > 0) throw new Error(`${rows.length} subjects are not counted as they were rated`);
}
