import type { Logger } from '@tradewind/telemetry/logger';

/** Another reason than the one that was said last is said after so long. */
const QUIET_MS = 10_000;

/** Says once that something is not as it should be, and once that it is again. */
export class Outage {
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #about: string;
  #reason: string | undefined;
  #said: { readonly reason: string; readonly at: number } | undefined;

  /** @param about what one reads in the log: `Redis, for reads` */
  constructor(logger: Pick<Logger, 'info' | 'warn'>, about: string) {
    this.#logger = logger;
    this.#about = about;
  }

  /** Why it is not as it should be; undefined when it is. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** @param reason a message alone: an error of the client's carries the command with all that was sent, a password too */
  goesOn(reason: string): void {
    this.#reason = reason;
    const now = performance.now();
    if (this.#said && (this.#said.reason === reason || now - this.#said.at < QUIET_MS)) return;
    this.#said = { reason, at: now };
    this.#logger.warn({ reason }, `${this.#about}: waiting to go on`);
  }

  over(): void {
    this.#reason = undefined;
    if (!this.#said) return;
    this.#said = undefined;
    this.#logger.info(`${this.#about}: going on`);
  }
}
