import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Life, type NodeOptions, type ScramUser, startLife } from './kafka/broker.ts';
import { installKafka, type KafkaFiles } from './kafka/install.ts';
import type { ListenerProtocol, SideListener } from './kafka/properties.ts';
import { freePort } from './port.ts';
import { endInOrder, hold, isRunning } from './program.ts';

export type { KafkaFiles } from './kafka/install.ts';

export interface BrokerOptions {
  /** Folder of its data, its settings and `broker.log`; made when missing, kept afterwards. Left out: one of its own, which goes with it. */
  readonly dataDir?: string;
  /** A free one when left out. */
  readonly port?: number;
  /** What clients are told to connect to, when a proxy stands before the port. */
  readonly advertisedPort?: number;
  /** Settings of the broker on top of its own; the listener of the clients is named CLIENT. */
  readonly properties?: Readonly<Record<string, string>>;
  /** 384 MB when left out. */
  readonly heapMb?: number;
  /** What clients must speak; PLAINTEXT when left out. `securedKafka` of kafka-security.ts gives this, properties and users together. */
  readonly protocol?: ListenerProtocol;
  readonly scramUsers?: readonly ScramUser[];
  /** Listeners besides, each with its own advertised port. */
  readonly sides?: readonly SideListener[];
  /** Progress, for people. */
  readonly onProgress?: (step: string) => void;
  /** Told each process as soon as there is one, long before it answers. */
  readonly onSpawn?: (process: ChildProcess) => void;
}

/** A real broker that this process started. */
export interface Broker extends AsyncDisposable {
  /** `kafka://127.0.0.1:PORT`; the advertised port, if there is one. */
  readonly url: string;
  /** The one it listens on. */
  readonly port: number;
  /** Of this life, `127.0.0.1:PORT`: never behind a proxy and always plain, whatever the clients must speak. */
  readonly internalAddress: string;
  readonly dataDir: string;
  /** While it runs. */
  readonly pid: number | undefined;
  /** How this life ended, asked or unasked, for people. */
  readonly exited: Promise<string>;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** In order; by force after 20 s. */
  stop(): Promise<void>;
  /** Again, with the same data on the same port; resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP: it keeps its connections and says nothing. */
  hold(): void;
  /** SIGCONT. */
  release(): void;
}

const HEAP_MB = 384;
const STOP_MS = 20_000;

/**
 * Gets a real Kafka: from the cache, or from Maven Central into it (`TRADEWIND_CACHE`, else `~/.cache/tradewind`). The first time, it also
 * lets one broker come and go, to note the classes that it needed: with those at hand the next one starts in a third of the time.
 * Rejects with what to do when Java 17 or Maven is missing.
 */
export async function obtainKafka(onProgress?: (step: string) => void): Promise<KafkaFiles> {
  const files = await installKafka(onProgress);
  if (existsSync(files.classArchive)) return files;
  onProgress?.('preparing Kafka to start fast, once');
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-kafka-'));
  const archiveTo = `${files.classArchive}.${process.pid}`;
  try {
    const life = await startLife(files, await nodeOptions({}, folder, { archiveTo }));
    await end(life);
    // A Java that can't do it gets an empty one, which is ignored, instead of being asked again each time.
    if (!existsSync(archiveTo)) await writeFile(archiveTo, '');
    await rename(archiveTo, files.classArchive);
  } finally {
    await rm(archiveTo, { force: true });
    await rm(folder, { recursive: true, force: true });
  }
  return files;
}

/** Starts a broker of one node on 127.0.0.1. Disposing it stops it; one that made a folder of its own takes that with it. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const files = await obtainKafka(options.onProgress);
  const temporary = options.dataDir === undefined;
  const folder = temporary ? await mkdtemp(join(tmpdir(), 'tradewind-kafka-')) : resolve(options.dataDir);
  await mkdir(folder, { recursive: true });
  const node = await nodeOptions(options, folder);
  options.onProgress?.(`starting Kafka on port ${node.port}`);
  let life: Life;
  try {
    life = await startLife(files, node);
  } catch (error) {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const running = () => isRunning(life.process);
  const kill = async () => {
    if (running()) life.process.kill('SIGKILL');
    await life.ended;
  };
  return {
    url: `kafka://127.0.0.1:${node.advertisedPort}`,
    port: node.port,
    dataDir: folder,
    get internalAddress() {
      return `127.0.0.1:${life.internalPort}`;
    },
    get pid() {
      return running() ? life.process.pid : undefined;
    },
    get exited() {
      return life.ended;
    },
    kill,
    stop: () => end(life),
    async start() {
      if (running()) throw new Error(`the broker on port ${node.port} runs already`);
      life = await startLife(files, node);
    },
    hold: () => hold(life.process),
    release: () => void life.process.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      // Data that goes with it need not be put in order first.
      if (!temporary) return await end(life);
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function nodeOptions(
  options: BrokerOptions,
  folder: string,
  more: Pick<NodeOptions, 'archiveTo'> = {},
): Promise<NodeOptions> {
  const port = options.port ?? (await freePort());
  return {
    folder,
    port,
    advertisedPort: options.advertisedPort ?? port,
    protocol: options.protocol ?? 'PLAINTEXT',
    properties: options.properties ?? {},
    scramUsers: options.scramUsers ?? [],
    sides: options.sides ?? [],
    heapMb: options.heapMb ?? HEAP_MB,
    onSpawn: options.onSpawn,
    ...more,
  };
}

async function end({ process: child, ended }: Life): Promise<void> {
  await endInOrder(child, ended, STOP_MS);
}
