import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { KafkaFiles } from './install.ts';

/** At a start a longer log becomes `<file>.1`. */
const ROTATE_BYTES = 10 * 2 ** 20;

export interface JavaOptions {
  readonly main: 'kafka.Kafka' | 'kafka.tools.StorageTool';
  readonly args: readonly string[];
  /** Output and errors are added to it. */
  readonly logFile: string;
  readonly cwd: string;
  readonly heapMb: number;
  /** Writes the class archive at the end, to this file. */
  readonly archiveTo?: string;
}

/** Spawns one of Kafka's programs. Its process ends with this one, where this one has the time to say so. */
export function spawnKafka(files: KafkaFiles, options: JavaOptions): ChildProcess {
  const { main, args, logFile, cwd, heapMb, archiveTo } = options;
  const log = openLog(logFile);
  const classes =
    archiveTo !== undefined
      ? [`-XX:ArchiveClassesAtExit=${archiveTo}`]
      : existsSync(files.classArchive)
        ? [`-XX:SharedArchiveFile=${files.classArchive}`]
        : [];
  const child = spawn(
    files.java.program,
    [
      `-Xmx${heapMb}m`,
      // One small node: the quick compiler and the plain collector start faster and take less than they cost.
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Xshare:auto',
      '-Xlog:disable',
      '-Xlog:all=error:stderr',
      ...classes,
      `-Dlog4j2.configurationFile=${join(files.folder, 'log4j2.properties')}`,
      '-cp',
      files.classPath,
      main,
      ...args,
    ],
    // A process group of its own, so that Ctrl-C reaches its starter alone and that can end things in order.
    { cwd, stdio: ['ignore', log, log], detached: process.platform !== 'win32' },
  );
  closeSync(log);
  const endWithMe = () => child.kill('SIGKILL');
  process.once('exit', endWithMe);
  child.once('exit', () => process.off('exit', endWithMe));
  return child;
}

/** Resolves with how a process ended, for people. */
export function endOf(child: ChildProcess): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(error.message));
  child.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  return promise;
}

/** What a log says of a failure: its errors, or else its last lines. */
export function troubleIn(logFile: string, since = 0): string {
  const lines = existsSync(logFile)
    ? readFileSync(logFile).subarray(since).toString('utf8').trimEnd().split('\n')
    : [];
  const errors = lines.filter((line) => /\b(ERROR|FATAL|Exception)\b/.test(line));
  return (errors.length > 0 ? errors : lines).slice(-8).join('\n');
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function openLog(path: string): number {
  if (sizeOf(path) > ROTATE_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, 'a');
}
