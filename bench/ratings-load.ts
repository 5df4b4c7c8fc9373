// The load of ratings, in a process of its own: requests on keep-alive connections of undici's Pool. Argument: the ratings service's database.
import { Client } from 'pg';
import { Pool } from 'undici';
import { answerParent, monotonic } from './worker.ts';

/** Ratings, or reads, as fast as the clients get answers. */
export interface RushQuestion {
  readonly kind: 'rush';
  readonly url: string;
  readonly count: number;
  readonly clients: number;
  /** In turn. */
  readonly paths?: readonly string[];
  /** Talks to rate in turn, where it is not paths to read. */
  readonly talks?: readonly string[];
}

/** Milliseconds of the monotonic clock; latencies in milliseconds. */
export interface RushAnswer {
  readonly startedAt: number;
  readonly answeredAt: number;
  readonly latencies: readonly number[];
}

/** Ratings at a fixed rate, however slow the answers are. */
export interface StreamQuestion {
  readonly kind: 'stream';
  readonly url: string;
  readonly clients: number;
  /** Ratings a second. */
  readonly rate: number;
  readonly seconds: number;
  /** Talks to rate in turn. */
  readonly talks: readonly string[];
  /** Of so many ratings one goes to this talk instead; the rest as above. */
  readonly hot?: { readonly talk: string; readonly share: number };
}

/** Milliseconds, from the moment at which each rating was due; those of the hot talk are left out. */
export interface StreamAnswer {
  readonly accepted: readonly number[];
  readonly visible: readonly number[];
}

const [databaseUrl = ''] = process.argv.slice(2);
const pools = new Map<string, Pool>();

function poolOf(url: string, clients: number): Pool {
  const known = pools.get(url) ?? new Pool(url, { connections: clients, pipelining: 1, allowH2: false });
  pools.set(url, known);
  return known;
}

function ask(pool: Pool, path: string, body?: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wanted = body === undefined ? 200 : 201;
  let status = 0;
  pool.dispatch(
    {
      method: body === undefined ? 'GET' : 'POST',
      path,
      ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
    },
    {
      onRequestStart() {},
      onResponseStart(_controller, code) {
        status = code;
      },
      onResponseData() {},
      onResponseEnd: () =>
        status === wanted ? resolve() : reject(new Error(`${path} was answered with ${status}`)),
      onResponseError: (_controller, error) => reject(error),
    },
  );
  return promise;
}

const rating = (talk: string | undefined, n: number) => `{"talkId":"${talk}","value":${1 + (n % 5)}}`;

async function rush({ url, count, clients, paths, talks = [] }: RushQuestion): Promise<RushAnswer> {
  const pool = poolOf(url, clients);
  const latencies: number[] = [];
  let next = 0;
  const startedAt = monotonic();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let n = next++; n < count; n = next++) {
        const sentAt = performance.now();
        if (paths) await ask(pool, paths[n % paths.length] ?? '');
        else await ask(pool, '/ratings', rating(talks[n % talks.length], n));
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  return { startedAt, answeredAt: monotonic(), latencies };
}

async function stream(question: StreamQuestion): Promise<StreamAnswer> {
  const { url, clients, rate, seconds, talks, hot } = question;
  const pool = poolOf(url, clients);
  const watch = new CountWatch();
  await watch.open(talks);
  const accepted: number[] = [];
  const sent: Promise<void>[] = [];
  let cold = 0;
  const startedAt = performance.now();
  while (sent.length < rate * seconds) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - startedAt) * rate) / 1000) + 1);
    for (let n = sent.length; n < due; n++) {
      const dueAt = startedAt + (n * 1000) / rate;
      if (hot && n % 1000 < hot.share * 1000) {
        sent.push(ask(pool, '/ratings', rating(hot.talk, n)));
        continue;
      }
      const talk = talks[cold++ % talks.length] ?? '';
      sent.push(
        ask(pool, '/ratings', rating(talk, n)).then(() => {
          accepted.push(performance.now() - dueAt);
          watch.expect(talk, dueAt);
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(sent);
  return { accepted, visible: await watch.finish() };
}

const LOOK_MS = 2;

/** Looks at the counts of talks whose ratings are on their way every two milliseconds: that is how exact the times are. */
class CountWatch {
  readonly #client = new Client({ connectionString: databaseUrl, application_name: 'bench' });
  readonly #counted = new Map<string, number>();
  readonly #awaited = new Map<string, number[]>();
  readonly #visible: number[] = [];
  #finishing = false;
  #looking = Promise.resolve();

  async open(talks: readonly string[]): Promise<void> {
    await this.#client.connect();
    for (const [talk, n] of await this.#counts(talks)) this.#counted.set(talk, n);
    this.#looking = this.#look();
  }

  /** A rating of the talk was accepted, which was due then: one more is to be counted. */
  expect(talk: string, dueAt: number): void {
    const awaited = this.#awaited.get(talk);
    if (awaited) awaited.push(dueAt);
    else this.#awaited.set(talk, [dueAt]);
  }

  async #counts(talks: readonly string[]): Promise<Map<string, number>> {
    const { rows } = await this.#client.query<{ subject: string; n: string }>({
      name: 'look',
      text: `SELECT subject, count_1 + count_2 + count_3 + count_4 + count_5 AS n FROM tally WHERE subject = ANY($1::text[])`,
      values: [talks],
    });
    return new Map(rows.map(({ subject, n }) => [subject, Number(n)]));
  }

  async #look(): Promise<void> {
    while (!this.#finishing || this.#awaited.size > 0) {
      if (this.#awaited.size > 0) this.#settle(await this.#counts([...this.#awaited.keys()]));
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #settle(counts: ReadonlyMap<string, number>): void {
    const now = performance.now();
    for (const [talk, awaited] of this.#awaited) {
      const before = this.#counted.get(talk) ?? 0;
      // What is counted and not answered yet is nobody's whom we know: it is taken off when its answer comes.
      const seen = awaited.splice(0, (counts.get(talk) ?? 0) - before);
      this.#counted.set(talk, before + seen.length);
      for (const dueAt of seen) this.#visible.push(now - dueAt);
      if (awaited.length === 0) this.#awaited.delete(talk);
    }
  }

  async finish(): Promise<readonly number[]> {
    this.#finishing = true;
    await this.#looking;
    await this.#client.end();
    return this.#visible;
  }
}

answerParent(
  (question: RushQuestion | StreamQuestion): Promise<RushAnswer | StreamAnswer> =>
    question.kind === 'rush' ? rush(question) : stream(question),
);
