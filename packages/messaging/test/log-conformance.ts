import { afterAll, beforeAll, describe } from 'vitest';
import type { EventLog } from '../log.ts';
import { appending } from './log-conformance/appending.ts';
import { consuming } from './log-conformance/consuming.ts';
import { groups } from './log-conformance/groups.ts';
import { handover } from './log-conformance/handover.ts';
import { topics } from './log-conformance/topics.ts';
import { type LogAddress, openAt } from './log-member.ts';

/** How fast an adapter is with a group, in milliseconds. Tests wait for conditions; these are how long they wait at most. */
export interface Timing {
  /** A member that died is replaced within this. */
  readonly sessionMs: number;
  /** Members that join or leave have their partitions within this; less than `sessionMs`, or leaving is no better than dying. */
  readonly settleMs: number;
  /** A partition goes to its new owner within this although the old one holds records that it never commits. */
  readonly handoverMs: number;
}

/** What the tests work with: a log, and the same log as another process sees it. */
export interface Bench {
  readonly log: EventLog;
  readonly other: EventLog;
  readonly address: LogAddress;
  readonly timing: Timing;
}

export interface LogUnderTest extends AsyncDisposable {
  readonly address: LogAddress;
}

/**
 * The contract of `log.ts` as tests, for any adapter.
 * @param start makes a log that is there for these tests only
 */
export function logConformance(name: string, start: () => Promise<LogUnderTest>, timing: Timing): void {
  // Concurrently, for most of them wait most of the time; topics and groups are each test's own.
  describe.concurrent(`${name} log`, () => {
    const resources = new AsyncDisposableStack();
    let bench: Bench | undefined;

    beforeAll(async () => {
      const { address } = resources.use(await start());
      const log = resources.use(await openAt(address));
      const other = resources.use(await openAt(address));
      bench = { log, other, address, timing };
    });
    afterAll(() => resources.disposeAsync());

    const get = (): Bench => {
      if (!bench) throw new Error('the log could not be opened');
      return bench;
    };
    describe('topics', () => topics(get));
    describe('appending', () => appending(get));
    describe('consuming', () => consuming(get));
    describe('groups', () => groups(get));
    describe('handing over', () => handover(get));
  });
}
