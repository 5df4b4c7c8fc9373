import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkFree, freePort } from '../port.ts';
import { endOf, sizeOf, troubleIn } from '../program.ts';
import { untilAnswering } from './answering.ts';
import type { KafkaFiles } from './install.ts';
import { spawnKafka } from './java-process.ts';
import { type ListenerProtocol, type Listeners, type SideListener, serverProperties } from './properties.ts';

export interface NodeOptions {
  /** Exists; holds `data/`, `server.properties` and `broker.log`. */
  readonly folder: string;
  readonly port: number;
  readonly advertisedPort: number;
  readonly protocol: ListenerProtocol;
  readonly properties: Readonly<Record<string, string>>;
  readonly scramUsers: readonly ScramUser[];
  readonly sides: readonly SideListener[];
  readonly heapMb: number;
  /** Told the process as soon as there is one. */
  readonly onSpawn?: ((process: ChildProcess) => void) | undefined;
  readonly archiveTo?: string;
}

/** Whom a broker knows by SCRAM, with both hashes. Written when the data folder is made. */
export interface ScramUser {
  readonly name: string;
  readonly password: string;
}

/** One life of a broker. */
export interface Life {
  readonly process: ChildProcess;
  readonly internalPort: number;
  /** How it ended, for people. */
  readonly ended: Promise<string>;
}

/** A port that somebody else has. */
class PortTaken extends Error {}

/** Starts a broker and waits until it answers. Rejects with what it wrote when it does not come up; nothing is left running then. */
export async function startLife(files: KafkaFiles, options: NodeOptions): Promise<Life> {
  await checkFree(options.port);
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryLife(files, options);
    } catch (error) {
      // The two ports that nobody named were free when they were chosen; somebody was quicker.
      if (!(error instanceof PortTaken) || attempt === 3) throw error;
      await checkFree(options.port);
    }
  }
}

async function tryLife(files: KafkaFiles, options: NodeOptions): Promise<Life> {
  const { folder, port, advertisedPort, protocol, sides } = options;
  const [internalPort, controllerPort] = [await freePort(), await freePort()];
  const listeners: Listeners = { port, advertisedPort, protocol, internalPort, controllerPort, sides };
  const data = join(folder, 'data');
  if (!existsSync(join(data, 'meta.properties'))) await format(files, options, listeners);
  const config = join(folder, 'server.properties');
  await writeFile(config, serverProperties(data, listeners, options.properties));
  const logFile = join(folder, 'broker.log');
  const since = sizeOf(logFile);
  const child = spawnKafka(files, {
    main: 'kafka.Kafka',
    args: [config],
    logFile,
    cwd: folder,
    heapMb: options.heapMb,
    ...(options.archiveTo !== undefined && { archiveTo: options.archiveTo }),
  });
  options.onSpawn?.(child);
  const ended = endOf(child);
  try {
    await untilAnswering(internalPort, ended);
    return { process: child, internalPort, ended };
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    const why = troubleIn(logFile, since);
    const text = `Kafka did not start on port ${port}: ${(error as Error).message}\n${why}`;
    throw /BindException|Address already in use/.test(why) ? new PortTaken(text) : new Error(text);
  }
}

/** Makes the data folder beside its place and moves it there when it is whole, so that one that was killed leaves nothing behind. */
async function format(files: KafkaFiles, options: NodeOptions, listeners: Listeners): Promise<void> {
  const { folder, scramUsers, properties } = options;
  for (const name of await readdir(folder))
    if (name.startsWith('data.new-')) await rm(join(folder, name), { recursive: true, force: true });
  const made = await mkdtemp(join(folder, 'data.new-'));
  const config = join(folder, 'format.properties');
  await writeFile(config, serverProperties(made, listeners, properties));
  // Neither may begin an option's name.
  const clusterId = `t${randomBytes(16).toString('base64url').slice(1)}`;
  const scram = scramUsers.flatMap(({ name, password }) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  );
  const logFile = join(folder, 'format.log');
  const since = sizeOf(logFile);
  const end = await endOf(
    spawnKafka(files, {
      main: 'kafka.tools.StorageTool',
      args: ['format', '--cluster-id', clusterId, '--config', config, ...scram],
      logFile,
      cwd: folder,
      heapMb: 128,
    }),
  );
  if (end !== 'exit code 0')
    throw new Error(`Kafka's data folder could not be made (${end}):\n${troubleIn(logFile, since)}`);
  const data = join(folder, 'data');
  await rename(made, data).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    throw new Error(`${data} is neither empty nor a Kafka data folder`);
  });
}
