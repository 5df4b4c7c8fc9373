import { durationMs, type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { OrderStatus, type Saga } from '@tradewind/contracts/order/v1/order';
import {
  SagaLetterState,
  SagaState,
  type SagaStep,
  SagaStepState as State,
} from '@tradewind/contracts/order/v1/saga';
import { nameIn } from './names.ts';

const WIDTH = 32;
const marks = { outbox: '░', topic: '▒', retry: '▓', handling: '█', dead: '×' } as const;

/**
 * Draws a saga for people: its events as bars over time, where it stands, what is awaited and from whom, its dead letters, what is not known.
 * @param tracesUrl where traces are looked at; the path alone when left out
 */
export function drawSaga(saga: Saga, tracesUrl = ''): string {
  const { orderId, orderStatus, reason, traceId, startedAt } = saga;
  const trace = traceId === '' ? 'not traced' : `trace ${traceId}, ${tracesUrl}/trace/${traceId}`;
  return [
    `order ${orderId} is ${nameIn(OrderStatus, orderStatus)}${reason === '' ? '' : `: ${reason}`}`,
    headline(saga),
    `accepted ${isoOf(startedAt)}; ${trace}`,
    '',
    ...stepLines(saga),
    ...awaitsLines(saga),
    ...letterLines(saga),
    ...(saga.unknowns.length === 0 ? [] : ['', 'not known']),
    ...saga.unknowns.map(({ about, why }) => `  ${about}: ${why}`),
  ]
    .map(harmless)
    .join('\n');
}

/** Text of strangers as a terminal may have it: in one line, without characters that move its cursor or its mind. */
function harmless(text: string): string {
  return text.replaceAll(/[^\P{C}]/gu, '\uFFFD');
}

function headline({ state, duration, settledAt, awaits }: Saga): string {
  const ms = duration ? durationMs(duration) : 0;
  const took = settledAt ? `the order had its outcome after ${spanText(ms)}` : `for ${spanText(ms)} so far`;
  const late = awaits?.lateBy ? `, ${spanText(durationMs(awaits.lateBy))} late` : '';
  return `saga ${nameOf(SagaState, state)}${late}: ${took}`;
}

const nameOf = (names: Readonly<Record<string, number>>, value: number) =>
  nameIn(names, value).replaceAll('_', ' ');

function stepLines(saga: Saga): string[] {
  if (saga.steps.length === 0) return ['  none of its events was found'];
  const start = msOf(saga.startedAt) ?? 0;
  const end = Math.max(start + 1, ...saga.steps.flatMap((step) => endOf(step, saga)));
  const rows = saga.steps.map((step) => {
    const { topic, toldBy, heardBy, state, place } = step;
    const began = msOf(step.writtenAt) ?? msOf(step.appendedAt);
    return {
      cells: [
        `  ${began === undefined ? '' : `+${spanText(Math.max(0, began - start))}`}`,
        topic,
        heardBy === '' ? toldBy || '?' : `${toldBy || '?'} → ${heardBy}`,
        `▕${barOf(step, start, end, saga)}▏`,
        nameOf(State, state),
        [...timesOf(step), ...(place === '' ? [] : [place])].join(', '),
      ],
      below: detailOf(step),
    };
  });
  const lines = columns(rows.map(({ cells }) => cells));
  return [
    ...rows.flatMap(({ below }, n) => [lines[n] ?? '', ...(below === '' ? [] : [`      ${below}`])]),
    `  ${marks.outbox} in the outbox  ${marks.topic} on the topic  ${marks.retry} in retry  ${marks.handling} handled  ${marks.dead} given up`,
  ];
}

function timesOf({ inOutbox, onTopic, inRetry, inHandling }: SagaStep): string[] {
  return [
    ...(inOutbox ? [`outbox ${spanText(durationMs(inOutbox))}`] : []),
    ...(onTopic ? [`topic ${spanText(durationMs(onTopic))}`] : []),
    ...(inRetry ? [`failing ${spanText(durationMs(inRetry))}`] : []),
    ...(inHandling ? [`handled in ${spanText(durationMs(inHandling))}`] : []),
  ];
}

function detailOf({ state, attempts, nextAttemptAt, ahead, heardBy }: SagaStep): string {
  if (state === State.ON_TOPIC && ahead > 0n) return `${heardBy} has ${ahead} to read first`;
  if (state !== State.RETRYING && state !== State.IN_LINE) return '';
  const first = state === State.IN_LINE ? `behind ${ahead} of its order, ` : '';
  return `${first}attempt ${attempts} failed; next at ${isoOf(nextAttemptAt)}`;
}

/** When a step's bar ends at the latest. */
function endOf(step: SagaStep, { observedAt }: Saga): number[] {
  const open = step.state !== State.HANDLED && step.state !== State.TOLD;
  const handled = (msOf(step.heardAt) ?? 0) + (step.inHandling ? durationMs(step.inHandling) : 0);
  return [msOf(step.writtenAt) ?? 0, msOf(step.appendedAt) ?? 0, handled, open ? (msOf(observedAt) ?? 0) : 0];
}

function barOf(step: SagaStep, start: number, end: number, { observedAt }: Saga): string {
  const cells = Array.from({ length: WIDTH }, () => ' ');
  const now = msOf(observedAt);
  const fill = (from: number | undefined, to: number | undefined, mark: string) => {
    if (from === undefined || to === undefined) return;
    const cell = (ms: number) =>
      Math.min(WIDTH - 1, Math.max(0, Math.floor(((ms - start) / (end - start)) * WIDTH)));
    // Clocks differ, and what took no time shows all the same.
    for (let n = cell(from); n <= cell(Math.max(from, to)); n++) cells[n] = mark;
  };
  const [written, appended, heard] = [msOf(step.writtenAt), msOf(step.appendedAt), msOf(step.heardAt)];
  const { state } = step;
  fill(written, appended ?? now, marks.outbox);
  const failed = msOf(step.firstFailedAt);
  fill(appended, failed ?? heard ?? (state === State.ON_TOPIC ? now : appended), marks.topic);
  fill(failed, heard, marks.retry);
  if (state === State.HANDLED)
    fill(heard, heard && heard + (step.inHandling ? durationMs(step.inHandling) : 0), marks.handling);
  else if (state === State.DEAD_LETTERED || state === State.DISCARDED) fill(heard, now, marks.dead);
  else if (state !== State.TOLD) fill(heard, now, marks.retry);
  return cells.join('');
}

function awaitsLines({ awaits }: Saga): string[] {
  if (!awaits) return [];
  const since = isoOf(awaits.since);
  const late = awaits.lateBy ? `, ${spanText(durationMs(awaits.lateBy))} late` : '';
  const from = awaits.service === '' ? 'a person' : awaits.service;
  return [
    '',
    ...columns([
      ['awaits', `${awaits.what}, since ${since}${late}`],
      ['from', from],
      ['why', awaits.why],
      ['next', awaits.next],
    ]),
  ];
}

function letterLines({ deadLetters }: Saga): string[] {
  if (deadLetters.length === 0) return [];
  return [
    '',
    'dead letters',
    ...deadLetters.flatMap(({ place, topic, group, state, reason, attempts, lastFailure, eventId }) => [
      `  ${place || `in ${group}'s outbox`}  ${nameOf(SagaLetterState, state)}: ${group} gave up on ${topic}${
        reason === '' ? '' : ` (${reason}, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'})`
      } at ${isoOf(lastFailure)}`,
      `    npm run dlq -- show ${place || eventId}`,
    ]),
  ];
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, n) => {
      widths[n] = Math.max(widths[n] ?? 0, cell.length);
    });
  return rows.map((row) =>
    row
      .map((cell, n) => (n === row.length - 1 ? cell : cell.padEnd(widths[n] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function msOf(time: Timestamp | undefined): number | undefined {
  return time && timestampDate(time).getTime();
}

function isoOf(time: Timestamp | undefined): string {
  return time ? timestampDate(time).toISOString() : '?';
}

/** A span of time for people: `43 ms`, `2.5 s`, `12 min`, `5 h`, `2 d`. */
export function spanText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 120) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
