/**
 * A listener of the ledger in a process of its own, so that a test, or an event, can kill it. The one argument is `ListenProcessOptions` as
 * JSON. It writes a line whenever it has joined its group, and a dot while its event loop turns.
 */
import { type OrderCreated, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { openDatabase } from '@tradewind/database/database';
import { listen } from '@tradewind/messaging/listen';
import { openLog } from '@tradewind/messaging/open-log';
import { startRelay } from '@tradewind/messaging/relay';
import { on } from '@tradewind/messaging/subscription';
import { GROUP, handler, logger, schema } from './ledger.ts';

export interface ListenProcessOptions {
  readonly databaseUrl: string;
  readonly logUrl: string;
  /** Attempts at an event that fails; 3 when left out. */
  readonly attempts?: number;
  /** How often an event that kills at last only fails before; 0 when left out. */
  readonly failures?: number;
  /** Records a transaction at most. */
  readonly maxBatch?: number;
}

/** What the handler does to events of such customers. */
const MISCHIEF: Readonly<Record<string, () => void>> = {
  kill: () => process.kill(process.pid, 'SIGKILL'),
  loop: () => {
    for (;;);
  },
  fail: () => {
    if (left-- <= 0) process.kill(process.pid, 'SIGKILL');
    throw new Error('the moon is wrong');
  },
};
/** How often it only fails before it kills. */
let left = 0;

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? '{}'));

async function run({
  databaseUrl,
  logUrl,
  attempts = 3,
  maxBatch = 1_000,
}: ListenProcessOptions): Promise<void> {
  const stop = new AbortController();
  process.on('SIGTERM', () => stop.abort());
  await using database = await openDatabase({ url: databaseUrl, name: 'child', schema });
  await using log = await openLog({ url: logUrl, logger });
  await using relay = startRelay({ databaseUrl, log, logger });
  const alive = setInterval(() => process.stdout.write('.'), 50);
  await listen({
    group: GROUP,
    log,
    database,
    subscriptions: [
      on(
        OrderCreatedSchema,
        handler(({ customerId }: OrderCreated) => MISCHIEF[customerId.split(',')[0] ?? '']?.()),
      ),
    ],
    logger,
    signal: stop.signal,
    maxBatch,
    retry: { attempts, baseMs: 20, capMs: 100 },
    onJoined: () => process.stdout.write('\n'),
    onCommit: ({ told }) => told > 0 && relay.wake(),
  });
  clearInterval(alive);
}
