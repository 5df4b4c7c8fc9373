import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { type Asked, ask, or } from '@tradewind/process/ask';
import { createLogger, maskText } from '@tradewind/telemetry/logger';
import { Inboxes } from '../dlq/inboxes.ts';
import { findLetters, type Letter } from '../dlq/letters.ts';
import type { Whereabouts } from '../dlq/whereabouts.ts';
import type { DoctorOptions } from './command-line.ts';
import { lookAtDatabase, openReading } from './databases.ts';
import { pendingOrders, tracePending } from './pending.ts';
import { problemsOf } from './problems.ts';
import { lookAtProcesses } from './processes.ts';
import { lookAtGroups } from './progress.ts';
import type { DeadLettersReport, DoctorReport } from './report.ts';

/** Looks at everything side by side, then for the events of pending orders. Never rejects for something that is down; that is what it tells. */
export async function examine(where: Whereabouts, options: DoctorOptions): Promise<DoctorReport> {
  const { patienceMs } = options;
  const pools = Object.entries(where.databaseUrls).map(
    ([name, url]) => [name, openReading(url, patienceMs)] as const,
  );
  const poolOf = (service: string) => {
    const found = pools.find(([name]) => name === service);
    if (!found) throw new Error(`no database of ${service} is known`);
    return found[1];
  };
  const log = ask(patienceMs, () =>
    openLog({ ...where.log, logger: createLogger({ service: 'doctor', level: 'silent' }) }),
  );
  const began = performance.now();
  const onLog = async <T>(question: (log: EventLog) => Promise<T>): Promise<Asked<T>> => {
    const opened = await log;
    return 'why' in opened
      ? opened
      : await ask(patienceMs + began - performance.now(), () => question(opened.answer));
  };
  const inboxes = new Inboxes(where.databaseUrls);
  const pendingLimits = { afterMs: options.pendingAfterMs, most: options.orders, limitMs: patienceMs };
  const [processes, databases, groups, letters, pending, opened] = await Promise.all([
    lookAtProcesses(where, options.health, patienceMs),
    Promise.all(pools.map(([name, pool]) => lookAtDatabase(name, pool, patienceMs))),
    onLog(lookAtGroups),
    onLog((its) => findLetters(its, inboxes, {})),
    pendingOrders(poolOf('order'), pendingLimits),
    log,
  ]);
  const pending_orders = await tracePending(pending, options.pendingAfterMs, {
    log: opened,
    letters,
    pools: { order: poolOf('order'), stock: poolOf('stock') },
    // What answered a moment ago is not waited for as long, and this has two steps.
    limitMs: patienceMs * 0.4,
  });
  const found = {
    processes,
    log: {
      url: maskText(where.log.url),
      reachable: 'answer' in opened,
      ...('why' in opened && { why: maskText(opened.why) }),
    },
    databases,
    groups: or(groups, []),
    dead_letters: kindsOf(or(letters, [])),
    pending_orders,
  };
  // Where the log is away, that is the problem, and not each thing that could not be asked of it.
  const unknown = 'why' in opened ? [] : [...unasked('the lag', groups), ...unasked('dead letters', letters)];
  const problems = problemsOf(found, unknown, options);
  return { version: 1, at: new Date().toISOString(), healthy: problems.length === 0, problems, ...found };
}

function unasked(what: string, asked: Asked<unknown>): string[] {
  return 'why' in asked ? [`${what} can't be told: ${asked.why}`] : [];
}

/** Counts the letters that somebody has to decide about. */
function kindsOf(letters: readonly Letter[]): DeadLettersReport[] {
  const kinds = Map.groupBy(
    letters.filter(
      ({ standing }) => standing.state === 'open' || (standing.state === 'unknown' && !standing.forgotten),
    ),
    ({ origin, group, reason, standing }) => JSON.stringify([origin.topic, group, reason, standing.state]),
  );
  return [...kinds.values()].flatMap((theirs) => {
    const [oldest, newest] = [theirs[0], theirs.at(-1)];
    if (!oldest || !newest) return [];
    const { origin, group, reason, standing } = oldest;
    return {
      topic: origin.topic,
      group,
      reason,
      state: standing.state === 'open' ? ('open' as const) : ('unknown' as const),
      count: theirs.length,
      oldest: oldest.appendedAt.toISOString(),
      newest: newest.appendedAt.toISOString(),
    };
  });
}
