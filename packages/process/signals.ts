import type { Logger } from '@tradewind/telemetry/logger';

/** npm hands a terminal's Ctrl-C on to a process that got it already; two that close together are one. */
const ECHO_MS = 500;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

export interface StopOptions {
  readonly logger: Pick<Logger, 'info' | 'error'>;
  /** From the first signal to the end; then the process ends whatever still runs. */
  readonly deadlineMs: number;
  /** What still runs, for people. */
  readonly running: () => readonly string[];
  /** SIGINT and SIGTERM when left out. */
  readonly signals?: readonly NodeJS.Signals[];
  /** Ends the process with this exit code, now. */
  readonly exit: (code: number) => void;
}

/**
 * Aborted by the first SIGINT or SIGTERM, or of the signals given. A second one, or the deadline, ends the process with exit code 1. Disposing it says that
 * all is stopped: the deadline is off, and a late echo of the signal still does no harm.
 */
export function stopSignal({
  logger,
  deadlineMs,
  running,
  exit,
  signals = SIGNALS,
}: StopOptions): AbortSignal & Disposable {
  const controller = new AbortController();
  let firstAt = 0;
  let deadline: NodeJS.Timeout | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (Date.now() - firstAt < ECHO_MS) return;
      logger.error({ running: running() }, `${name} again: ending at once`);
      return exit(1);
    }
    firstAt = Date.now();
    logger.info(`${name}: stopping`);
    deadline = setTimeout(() => {
      const names = running();
      logger.error(
        { running: names },
        `not stopped within ${deadlineMs} ms; still running: ${names.join(', ')}`,
      );
      exit(1);
    }, deadlineMs);
    controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'));
  };
  for (const name of signals) process.on(name, onSignal);
  return Object.assign(controller.signal, {
    [Symbol.dispose]() {
      clearTimeout(deadline);
    },
  });
}
