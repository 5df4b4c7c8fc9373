import { createInterface } from 'node:readline/promises';
import { redriveTopic } from '@tradewind/messaging/contract';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';
import { createProgress } from '../load/progress.ts';
import type { DlqOptions } from './command-line.ts';
import { correctionOf, readCorrection } from './correct.ts';
import { isGood, runErrand } from './errand.ts';
import type { Inboxes } from './inboxes.ts';
import { findLetters, type Letter, placeText, recordsOf } from './letters.ts';
import { errandJson, formatErrand, formatList, letterJson } from './report.ts';
import type { Errand } from './send.ts';
import { formatLetter } from './show.ts';
import { counted, plain, short } from './table.ts';
import { watch } from './watch.ts';

/** What every command gets. */
export interface Context {
  readonly log: EventLog;
  readonly inboxes: Inboxes;
  readonly signal: AbortSignal;
  /** A line of the answer. */
  readonly print: (text: string) => void;
  /** A line beside the answer. */
  readonly note: (text: string) => void;
}

export interface Answer {
  readonly ok: boolean;
  readonly json: object;
}

type Only<Name extends DlqOptions['command']> = Extract<DlqOptions, { command: Name }>;

export async function list(options: Only<'list'>, { log, inboxes, print }: Context): Promise<Answer> {
  const letters = await findLetters(log, inboxes, options.filter);
  if (!options.json) print(formatList(letters, options.limit, inboxes.troubles));
  return {
    ok: inboxes.troubles.size === 0,
    json: { letters: letters.slice(-options.limit).map(letterJson) },
  };
}

export async function show(options: Only<'show'>, { log, inboxes, print }: Context): Promise<Answer> {
  const letters = await findLetters(log, inboxes, options.filter);
  if (letters.length === 0) throw new Error(`there is no dead letter ${options.filter.ref}`);
  const shown: object[] = [];
  for (const letter of letters) {
    const record = await recordAt(log, letter);
    if (options.raw) process.stdout.write(record.value ?? new Uint8Array());
    else if (!options.json) print(`${shown.length > 0 ? '\n' : ''}${formatLetter(letter, record)}`);
    const payload = Buffer.from(record.value ?? []).toString('base64');
    shown.push({ ...letterJson(letter), headers: record.headers, payload_base64: payload });
  }
  return { ok: true, json: { letters: shown } };
}

async function recordAt(log: EventLog, letter: Letter): Promise<ReceivedRecord> {
  for await (const record of recordsOf(log, [letter])) return record;
  throw new Error(`the letter at ${placeText(letter.place)} is gone: its retention is over`);
}

export async function watchLetters(
  options: Only<'watch'>,
  { log, signal, print, note }: Context,
): Promise<Answer> {
  await watch(log, options.filter, signal, {
    onReady: () => note('watching for dead letters; Ctrl-C ends it'),
    onAway: (why) => note(`the event log can't be read: ${why}; waiting for it`),
    onLetter: (letter) => {
      const { appendedAt, group, reason, origin, place, error } = letter;
      if (options.json)
        return print(
          JSON.stringify(plain({ ...letter, place: placeText(place), origin: placeText(origin) })),
        );
      const where = `${placeText(place)} (was ${placeText(origin)})`;
      print(
        `${appendedAt.toISOString()}  ${group}  ${short(reason, 20)}  ${where}  ${short(letter.id, 80)}  ${short(error, 120)}`,
      );
    },
  });
  return { ok: true, json: {} };
}

export async function redrive(options: Only<'redrive'>, context: Context): Promise<Answer> {
  const letters = await selected(options, 'redrive', context);
  if (!options.correction)
    return await run(letters, { action: 'redrive', ...paceOf(options) }, options, context);
  const [letter, ...others] = letters;
  if (!letter || others.length > 0)
    throw new Error(`a new payload is for one letter; ${letters.length} are meant: add --group`);
  const correction = correctionOf(letter, await readCorrection(options.correction), context.note);
  return await run(letters, { action: 'redrive', correction, ...paceOf(options) }, options, context);
}

export async function discard(options: Only<'discard'>, context: Context): Promise<Answer> {
  const letters = await selected(options, 'discard', context);
  const { because, yes, dryRun } = options;
  if (letters.length > 1 && !yes && !dryRun && !(await agreed(letters.length, context.signal)))
    throw new Error('nothing was discarded');
  const errand: Errand = { action: 'discard', ...(because !== undefined && { because }), ...paceOf(options) };
  return await run(letters, errand, options, context);
}

const paceOf = ({ rate }: { rate?: number }) => (rate === undefined ? {} : { rate });

async function agreed(count: number, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new Error(`${counted(count, 'letter')} would be discarded for good: --yes says so`);
  using asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`Discard ${counted(count, 'letter')} for good? [y/N] `, { signal });
  return /^y(es)?$/i.test(answer.trim());
}

/** The letters that are meant: a named one however it stands, by filters those that something can be done about. */
async function selected(
  options: Only<'redrive' | 'discard'>,
  action: Errand['action'],
  { log, inboxes, note }: Context,
): Promise<Letter[]> {
  const letters = await findLetters(log, inboxes, options.filter);
  const { ref, state } = options.filter;
  if (ref !== undefined) {
    if (letters.length === 0) throw new Error(`there is no dead letter ${ref}`);
    return letters;
  }
  const due = letters.filter(
    ({ standing, origin, group }) =>
      (state !== undefined ||
        standing.state === 'open' ||
        (standing.state === 'unknown' && !standing.forgotten)) &&
      (action === 'discard' || origin.topic !== redriveTopic(group)),
  );
  if (due.length < letters.length)
    note(
      `${letters.length - due.length} more are settled, in retry or forgotten already, or no events; they are left alone`,
    );
  return due;
}

async function run(
  letters: readonly Letter[],
  errand: Errand,
  { dryRun, patienceMs, json }: Only<'redrive' | 'discard'>,
  { log, inboxes, signal, print }: Context,
): Promise<Answer> {
  const progress = createProgress(process.stderr);
  const report = await runErrand(letters, errand, {
    log,
    inboxes,
    dryRun,
    patienceMs,
    signal,
    onProgress: (what, done, total) => {
      if (total > 1) progress.show(what, done, total);
    },
  }).finally(() => progress.clear());
  if (!json) print(formatErrand(errand, report));
  const ok = !report.interrupted && report.results.every((result) => isGood(errand.action, result));
  return { ok, json: errandJson(errand, report) };
}
