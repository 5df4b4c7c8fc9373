import { inject } from 'vitest';
import { logConformance } from './log-conformance.ts';

logConformance(
  'Kafka',
  async () => {
    const address = {
      module: new URL('../kafka-log.ts', import.meta.url).href,
      open: 'openKafkaLog',
      options: { url: inject('kafkaUrl'), sessionMs: 6_000, handoverMs: 1_000 },
    };
    // Topics and groups are each test's own, so the broker may be everybody's.
    return { address, async [Symbol.asyncDispose]() {} };
  },
  { sessionMs: 8_000, settleMs: 2_500, handoverMs: 3_000 },
);
