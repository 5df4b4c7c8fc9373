import { counted, short, span } from '../dlq/table.ts';
import type { DoctorOptions } from './command-line.ts';
import type {
  DatabaseReport,
  DeadLettersReport,
  DoctorReport,
  GroupReport,
  Problem,
  ProcessReport,
} from './report.ts';

/** What is wrong with what was found, the causes before what follows from them. */
export function problemsOf(
  found: Omit<DoctorReport, 'version' | 'at' | 'healthy' | 'problems'>,
  unknown: readonly string[],
  limits: DoctorOptions,
): Problem[] {
  const { processes, log, databases, groups, dead_letters, pending_orders } = found;
  return [
    ...(log.reachable
      ? []
      : [
          {
            about: 'event log',
            what: `${log.url} can't be reached: ${log.why}`,
            next: 'you: start it, or say by EVENT_LOG_URL where it is; nothing is lost meanwhile, facts wait in the outboxes',
          },
        ]),
    ...databases.filter(({ reachable }) => !reachable).map(databaseProblem),
    ...processes.flatMap(processProblems),
    ...databases.flatMap((database) => outboxProblems(database, limits)),
    ...groups.flatMap((group) => lagProblems(group, limits)),
    ...databases.flatMap((database) => heldProblems(database, limits)),
    ...dead_letters.map(deadLetterProblem),
    ...(pending_orders.count
      ? [
          {
            about: 'orders',
            what: `${counted(pending_orders.count, 'order')} PENDING for more than ${span(pending_orders.after_ms)}`,
            next: pending_orders.orders[0]?.next ?? 'you: --orders 10 tells where their events are',
          },
        ]
      : []),
    ...unknown.map((what) => ({ about: 'unknown', what, next: 'you: ask again' })),
  ];
}

function databaseProblem({ service, why }: DatabaseReport): Problem {
  return {
    about: 'database',
    what: `the database of ${service} can't be asked: ${why}`,
    next: `you: start PostgreSQL, or say by ${service.toUpperCase()}_DATABASE_URL where it is`,
  };
}

function processProblems({ name, url, status, dependencies, why, pid, alive }: ProcessReport): Problem[] {
  if (status === 'no answer')
    return [
      {
        about: 'process',
        what: `${name} does not answer at ${url}: ${why}`,
        next: alive
          ? `you: it runs (pid ${pid}) and does not answer: look at its log, and end it if it hangs; npm start starts it again`
          : `you: start it (npm start), or say by ${name.toUpperCase()}_PORT where it is`,
      },
    ];
  if (status === 'ended')
    return [
      {
        about: 'process',
        what: `${name} has ended`,
        next: 'the starter starts it again; its log says why it ended',
      },
    ];
  return Object.entries(dependencies)
    .filter(([, state]) => state !== 'ok')
    .map(([dependency, state]) => ({
      about: 'dependency',
      what: `${name} is ${status}: ${dependency}: ${short(state, 200)}`,
      next: `${name} waits for it and goes on by itself`,
    }));
}

function outboxProblems(database: DatabaseReport, { outboxAfterMs }: DoctorOptions): Problem[] {
  const { service, outbox_depth = 0, outbox_oldest_ms = 0, outbox_oldest_topic } = database;
  if (outbox_depth === 0 || outbox_oldest_ms <= outboxAfterMs) return [];
  return [
    {
      about: 'outbox',
      what: `${counted(outbox_depth, 'fact')} in the outbox of ${service}, the oldest (${outbox_oldest_topic}) for ${span(outbox_oldest_ms)}`,
      next: `${service} sends them as soon as it runs and the event log takes them`,
    },
  ];
}

function lagProblems(
  { group, lag, oldest_unread_ms = 0 }: GroupReport,
  { lagAfterMs }: DoctorOptions,
): Problem[] {
  if (lag === 0 || oldest_unread_ms <= lagAfterMs) return [];
  return [
    {
      about: 'lag',
      what: `${group} is ${counted(lag, 'record')} behind, the oldest has been there for ${span(oldest_unread_ms)}`,
      next: `you: see that the listen process of ${group} runs`,
    },
  ];
}

function heldProblems(database: DatabaseReport, { heldAfterMs }: DoctorOptions): Problem[] {
  const { service, held_keys = 0, held_events = 0, held_oldest_ms = 0, held = [] } = database;
  if (held_keys === 0 || held_oldest_ms <= heldAfterMs) return [];
  return [
    {
      about: 'held',
      what: `${service} holds ${counted(held_events, 'event')} of ${counted(held_keys, 'key')}, for ${span(held_oldest_ms)}: ${short(held[0]?.error ?? '', 160)}`,
      next: `${service} tries again by itself; what it fails of has to be mended`,
    },
  ];
}

function deadLetterProblem({ topic, group, reason, state, count }: DeadLettersReport): Problem {
  const what = `${counted(count, 'dead letter')} of ${topic} that ${group} gave up on (${reason})`;
  const filter = `--topic ${topic} --group ${group} --reason ${reason}`;
  return {
    about: 'dead letters',
    what: state === 'open' ? what : `${what}; whether anybody saw to them is not known`,
    next: `you: npm run dlq -- list ${filter}, mend the cause, npm run dlq -- redrive ${filter}`,
  };
}
