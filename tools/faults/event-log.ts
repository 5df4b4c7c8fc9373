import { join } from 'node:path';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { freePort } from '@tradewind/testing/port';
import { openProxy, type Way } from './proxy.ts';

export const logKinds = ['kafka', 'postgres'] as const;
export type LogKind = (typeof logKinds)[number];

/** The log of a run, and the way of each process to it. */
export interface LogSide extends AsyncDisposable {
  /** Where it is, with nothing in between. */
  readonly url: string;
  /** Undefined when the log is PostgreSQL's. */
  readonly broker: Broker | undefined;
  /** By the process's name. */
  readonly ways: ReadonlyMap<string, { readonly url: string; readonly proxy: Way }>;
}

/** The log in a database of the run's own PostgreSQL. */
async function openPostgresSide(url: string, names: readonly string[]): Promise<LogSide> {
  await using scope = new AsyncDisposableStack();
  const ways = new Map<string, { url: string; proxy: Way }>();
  for (const name of names) {
    const proxy = scope.use(
      await openProxy({ name: `${name} ↔ log`, port: await freePort(), target: Number(new URL(url).port) }),
    );
    const way = new URL(url);
    way.port = String(proxy.port);
    ways.set(name, { url: way.href, proxy });
  }
  const kept = scope.move();
  return { url, broker: undefined, ways, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * A broker of the run's own. It tells whoever asks where to go on, so each process has a listener of its own there, which names that
 * process's proxy.
 */
async function openKafkaSide(
  dataDir: string,
  names: readonly string[],
  say: (line: string) => void,
): Promise<LogSide> {
  await using scope = new AsyncDisposableStack();
  const ways = new Map<string, { url: string; proxy: Way }>();
  const sides: { port: number; advertisedPort: number }[] = [];
  for (const name of names) {
    const port = await freePort();
    const proxy = scope.use(await openProxy({ name: `${name} ↔ log`, port: await freePort(), target: port }));
    sides.push({ port, advertisedPort: proxy.port });
    ways.set(name, { url: `kafka://127.0.0.1:${proxy.port}`, proxy });
  }
  const options = { dataDir: join(dataDir, 'kafka'), port: await freePort(), sides, onProgress: say };
  const broker = scope.use(await startBroker(options));
  const kept = scope.move();
  return { url: broker.url, broker, ways, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export interface LogSideOptions {
  readonly dataDir: string;
  /** Of the database for PostgreSQL's log. */
  readonly databaseUrl: string;
  /** Of the processes that use it. */
  readonly names: readonly string[];
  readonly say: (line: string) => void;
}

export async function openLogSide(kind: LogKind, options: LogSideOptions): Promise<LogSide> {
  const { dataDir, databaseUrl, names, say } = options;
  return kind === 'kafka'
    ? await openKafkaSide(dataDir, names, say)
    : await openPostgresSide(databaseUrl, names);
}
