import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ProgramOptions, spawnProgram } from '../program.ts';
import type { KafkaFiles } from './install.ts';

export interface JavaOptions extends ProgramOptions {
  readonly main: 'kafka.Kafka' | 'kafka.tools.StorageTool';
  readonly args: readonly string[];
  readonly heapMb: number;
  /** Writes the class archive at the end, to this file. */
  readonly archiveTo?: string;
}

/** Spawns one of Kafka's programs. */
export function spawnKafka(files: KafkaFiles, options: JavaOptions): ChildProcess {
  const { main, args, heapMb, archiveTo } = options;
  const classes =
    archiveTo !== undefined
      ? [`-XX:ArchiveClassesAtExit=${archiveTo}`]
      : existsSync(files.classArchive)
        ? [`-XX:SharedArchiveFile=${files.classArchive}`]
        : [];
  return spawnProgram(
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
    options,
  );
}
