import { failureKind } from '@tradewind/database/failure';
import { delay, fullJitter } from '@tradewind/process/backoff';
import { type Waits, waitFor } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Watch } from './watch.ts';

export interface AttemptOptions {
  /** Rejects when the database can't be used now. */
  readonly probe: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly waits?: Waits;
  readonly watch?: Pick<Watch, 'conflicted'>;
}

/**
 * Runs work that is one transaction until it succeeds or fails by its own fault. A conflict with another transaction runs again at once; while the
 * database is away it is waited for; neither counts as an attempt.
 * @throws what the work failed with, once the database's own probe says that the database is not to blame.
 */
export async function attempt<T>(work: () => Promise<T>, options: AttemptOptions): Promise<T> {
  const { probe, signal, logger, waits, watch } = options;
  for (let conflicts = 0, losses = 0; ; ) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const kind = failureKind(error);
      if (kind === 'conflict') {
        watch?.conflicted();
        logger.debug({ err: error }, 'a conflict with another transaction; running again');
        await delay(fullJitter(conflicts++, { baseMs: 2, capMs: 100 }), signal);
        continue;
      }
      const answers =
        kind !== 'away' &&
        (await probe().then(
          () => true,
          () => false,
        ));
      if (answers) throw error;
      logger.warn({ err: error }, 'the database is away; nothing is lost, the batch waits');
      await waitFor({ name: 'database', probe, signal, logger, ...(waits && { waits }) });
      // The probe may succeed where the work does not.
      await delay(fullJitter(losses++, { baseMs: 20, capMs: 2_000 }), signal);
    }
  }
}
