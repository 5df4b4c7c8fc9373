/**
 * A member of a group in a process of its own, so that a test can kill it. The one argument is `MemberOptions` as JSON; each line of its
 * output is a `MemberReport`.
 */
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import type { EventLog, Position } from '../log.ts';

export interface LogAddress {
  /** The module of the adapter, as a URL. */
  readonly module: string;
  /** Its function that opens a log, given `options` with a logger added. */
  readonly open: string;
  readonly options: object;
}

export interface MemberOptions {
  readonly address: LogAddress;
  readonly group: string;
  readonly topics: readonly string[];
  /** Commit what was received. Otherwise it is kept in hand until a line comes in. */
  readonly commit: boolean;
}

export type MemberReport =
  | { readonly joined: true }
  /** It committed all that it had in hand; so many partitions were refused. */
  | { readonly refused: number }
  | {
      readonly received: readonly {
        readonly partition: number;
        readonly offset: string;
        readonly key: string | null;
      }[];
    };

/** Opens a log as another process would. */
export async function openAt({ module, open, options }: LogAddress): Promise<EventLog> {
  const loaded: Record<string, (options: object) => Promise<EventLog>> = await import(module);
  const opened = loaded[open]?.({ ...options, logger: pino({ level: 'silent' }) });
  if (!opened) throw new Error(`${module} has no function ${open}`);
  return opened;
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? '{}'));

async function run({ address, group, topics, commit }: MemberOptions): Promise<void> {
  const log = await openAt(address);
  const consumer = await log.consumer({ group, topics });
  report({ joined: true });
  const inHand: Position[] = [];
  createInterface({ input: process.stdin }).on('line', async () => {
    report({ refused: (await consumer.commit(inHand)).length });
  });
  while (true) {
    const records = await consumer.receive(new AbortController().signal);
    const behind = records.map((record) => ({ ...record, offset: record.offset + 1n }));
    if (commit) await consumer.commit(behind);
    else inHand.push(...behind);
    report({
      received: records.map(({ partition, offset, key }) => ({ partition, offset: offset.toString(), key })),
    });
  }
}

function report(line: MemberReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
