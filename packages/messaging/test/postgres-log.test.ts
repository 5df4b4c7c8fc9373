import { createDatabase } from '@tradewind/testing/postgres';
import { logConformance } from './log-conformance.ts';

logConformance(
  'PostgreSQL',
  async () => {
    const database = await createDatabase('log');
    const address = {
      module: new URL('../postgres-log.ts', import.meta.url).href,
      open: 'openPostgresLog',
      // Polling this slow can't help a test in time: what arrives was woken.
      options: { url: database.url, sessionMs: 2_000, handoverMs: 1_500, pollMs: 60_000 },
    };
    return { address, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
  },
  { sessionMs: 3_000, settleMs: 1_500, handoverMs: 2_500 },
);
