import { harmless, short, span, table } from '../dlq/table.ts';
import type { DatabaseReport, DoctorReport, GroupReport, ProcessReport } from './report.ts';

/** The report on one screen, for people. */
export function formatReport(report: DoctorReport): string {
  const { processes, log, databases, groups, dead_letters, pending_orders, problems } = report;
  const dead = dead_letters.map(({ topic, group, reason, state, count, oldest }) => [
    `  ${topic}`,
    `${count} ${state}`,
    `${group} gave up: ${reason}; the oldest since ${oldest}`,
  ]);
  return [
    'processes',
    ...table(processes.map(processRow)),
    'event log',
    `  ${log.url}  ${log.reachable ? 'answers' : `can't be reached: ${log.why}`}`,
    'outbox and held events',
    ...table(databases.map(databaseRow)),
    'lag',
    ...(groups.length > 0 ? table(groups.map(groupRow)) : ['  unknown']),
    'dead letters that wait for somebody',
    ...(dead.length > 0 ? table(dead) : [log.reachable ? '  none' : '  unknown']),
    `orders PENDING for more than ${span(pending_orders.after_ms)}`,
    ...pendingLines(report),
    '',
    ...(problems.length === 0
      ? ['All is well.']
      : [`${problems.length === 1 ? 'One problem' : `${problems.length} problems`}:`]),
    ...problems.flatMap(({ what, next }, index) => [
      `${String(index + 1).padStart(3)}. ${what}`,
      `     next: ${next}`,
    ]),
  ]
    .map(harmless)
    .join('\n');
}

function processRow({ name, status, url, pid, dependencies, why }: ProcessReport): string[] {
  const wrong = Object.entries(dependencies)
    .filter(([, state]) => state !== 'ok')
    .map(([dependency, state]) => `${dependency}: ${short(state, 80)}`);
  const details = [...(why === undefined ? [] : [why]), ...wrong].join('; ');
  return [`  ${name}`, status, url ?? '', pid === undefined ? '' : `pid ${pid}`, details];
}

function databaseRow({ service, reachable, why, ...state }: DatabaseReport): string[] {
  if (!reachable) return [`  ${service}`, `can't be asked: ${why}`];
  const { outbox_depth = 0, outbox_oldest_ms, held_keys = 0, held_events = 0, held_oldest_ms } = state;
  const age = (ms: number | undefined) => (ms === undefined ? '' : `, the oldest for ${span(ms)}`);
  return [
    `  ${service}`,
    outbox_depth === 0 ? 'outbox empty' : `outbox ${outbox_depth}${age(outbox_oldest_ms)}`,
    held_keys === 0 ? 'nothing held' : `${held_events} held of ${held_keys} keys${age(held_oldest_ms)}`,
  ];
}

function groupRow({ group, lag, oldest_unread_ms, behind }: GroupReport): string[] {
  if (lag === 0) return [`  ${group}`, 'up to date'];
  const topics = [...Map.groupBy(behind, ({ topic }) => topic)].map(
    ([topic, partitions]) => `${topic} ${partitions.reduce((sum, partition) => sum + partition.lag, 0)}`,
  );
  const age = oldest_unread_ms === undefined ? '' : `, the oldest for ${span(oldest_unread_ms)}`;
  return [`  ${group}`, `${lag} behind${age}`, topics.join(', ')];
}

function pendingLines({ pending_orders: { count, orders } }: DoctorReport): string[] {
  if (count === undefined) return ['  unknown'];
  if (count === 0) return ['  none'];
  return [
    ...orders.flatMap(({ id, pending_ms, text, next }) => [
      `  ${id}  for ${span(pending_ms)}: ${short(text, 260)}`,
      `    next: ${next}`,
    ]),
    ...(count > orders.length ? [`  … and ${count - orders.length} more`] : []),
  ];
}
