import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { commandOf } from './identity.ts';

/** A port that something of Tradewind is to listen on. */
export interface WantedPort {
  /** What listens there, for people. */
  readonly name: string;
  readonly port: number;
  /** The address that it is bound to. */
  readonly host: string;
  /** The environment variable that chooses it. */
  readonly variable: string;
}

/**
 * Rejects when a port can't be had, naming each such port, who has it and which variable chooses another.
 */
export async function checkPorts(wanted: readonly WantedPort[]): Promise<void> {
  const problems: string[] = [];
  for (const [index, { name, port, host, variable }] of wanted.entries()) {
    const twin = wanted.slice(0, index).find((other) => other.port === port);
    const problem = twin ? `is ${twin.name}'s already` : await problemOf(port, host);
    if (problem) problems.push(`port ${port} for ${name} ${problem}; ${variable} chooses another`);
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

async function problemOf(port: number, host: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const server = createServer().once('error', resolve);
  server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  const error = await promise;
  if (!error) return undefined;
  if (error.code !== 'EADDRINUSE') return `can't be bound on ${host}: ${error.message}`;
  return `is taken by ${ownerOf(port) ?? 'a process that this user may not look at'}`;
}

/** Who listens on a port, as `node server.js (pid 12)`; undefined when that can't be told. */
export function ownerOf(port: number): string | undefined {
  const pid = process.platform === 'linux' ? listenerFromProc(port) : listenerFromLsof(port);
  return pid === undefined ? undefined : `${commandOf(pid) ?? 'a process'} (pid ${pid})`;
}

const LISTENING = '0A';

function listenerFromProc(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of lines(table)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local?.endsWith(suffix) && state === LISTENING) sockets.add(`socket:[${inode}]`);
    }
  }
  if (sockets.size === 0) return undefined;
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => entries(`/proc/${pid}/fd`).some((fd) => sockets.has(target(`/proc/${pid}/fd/${fd}`))));
}

function listenerFromLsof(port: number): number | undefined {
  try {
    const found = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(found.trim().split('\n')[0]) || undefined;
  } catch {
    return undefined;
  }
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
