import { eventOf } from '@tradewind/messaging/dead-letters';
import type { EventLog, Position } from '@tradewind/messaging/log';
import { delay } from '@tradewind/process/backoff';
import type { Inboxes, Standing } from './inboxes.ts';
import { type Letter, placeText } from './letters.ts';
import { readPast, type Sent } from './send.ts';

/**
 * What became of a letter. `held`: in retry again; `dead again`: there is a newer letter; `left alone`: the group read it and did nothing;
 * `no answer`: the group has not read it in time; `unknown`: its inbox can't be asked; the others are what the errand found.
 */
export type Outcome =
  | 'handled'
  | 'discarded'
  | 'held'
  | 'dead again'
  | 'left alone'
  | 'no answer'
  | 'unknown'
  | 'sent'
  | 'would be sent'
  | 'already handled'
  | 'already discarded'
  | 'in retry'
  | 'forgotten'
  | 'not an event';

export interface Result {
  readonly letter: Letter;
  readonly outcome: Outcome;
  readonly why?: string;
}

export interface WaitOptions {
  readonly log: EventLog;
  readonly inboxes: Inboxes;
  /** Since the last news, in milliseconds. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
  readonly onNews: (done: number, total: number) => void;
}

const POLL_MS = 100;
/** How far the groups have read is asked less often: it costs the log more than the inboxes cost their databases. */
const PROGRESS_EVERY = 10;

/**
 * Waits until it is known what became of what was sent, or nothing has happened for as long as patience lasts. What an inbox that can't be
 * asked keeps for itself is not waited for.
 */
export async function awaitOutcomes(
  letters: readonly Letter[],
  sent: Sent,
  options: WaitOptions,
): Promise<Result[]> {
  const { log, inboxes, patienceMs, signal, onNews } = options;
  const results = new Map<Letter, Result>();
  const open = new Map(letters.map((letter) => [letter, letter.standing]));
  const settle = (letter: Letter, result: Result) => {
    results.set(letter, result);
    open.delete(letter);
  };
  let newsAt = performance.now();
  for (let round = 1; open.size > 0 && performance.now() - newsAt <= patienceMs; round++) {
    // Asked before the inboxes: what was read past has left its mark there.
    const passed = round % PROGRESS_EVERY === 0 ? await groupsPast(log, [...open.keys()], sent) : undefined;
    const standings = await inboxes.standings([...open.keys()]);
    for (const [letter, before] of [...open]) {
      const standing = standings.get(eventOf(letter)) ?? before;
      const outcome = outcomeOf(standing, sent.get(eventOf(letter)) ?? []);
      if (outcome) settle(letter, { letter, outcome });
      else if (standing.state === 'open' && passed?.has(letter.group))
        settle(letter, { letter, outcome: 'left alone' });
      else if (standing.state === 'unknown') settle(letter, undecided(letter, standing));
      else open.set(letter, standing);
      if (!open.has(letter) || standing.state !== before.state) newsAt = performance.now();
    }
    onNews(results.size, letters.length);
    if (open.size > 0) await delay(POLL_MS, signal);
  }
  for (const [letter, standing] of [...open]) settle(letter, undecided(letter, standing));
  return letters.flatMap((letter) => results.get(letter) ?? []);
}

/** What an inbox says of an event for which these records were sent; undefined while it says nothing new. */
function outcomeOf(standing: Standing, places: readonly Position[]): Outcome | undefined {
  if (standing.state === 'redriven') return 'handled';
  if (standing.state === 'discarded') return 'discarded';
  const mine = standing.redrive !== undefined && places.map(placeText).includes(standing.redrive);
  return standing.state === 'open' && mine ? 'dead again' : undefined;
}

function undecided(letter: Letter, { state, why }: Standing): Result {
  if (state === 'held') return { letter, outcome: 'held' };
  if (state === 'unknown') return { letter, outcome: 'unknown', ...(why !== undefined && { why }) };
  return {
    letter,
    outcome: 'no answer',
    why: `${letter.group} has not read it; does it listen? npm run doctor tells`,
  };
}

/** The groups that have read everything that was sent to them. */
async function groupsPast(log: EventLog, letters: readonly Letter[], sent: Sent): Promise<Set<string>> {
  const past = new Set<string>();
  for (const [group, theirs] of Map.groupBy(letters, ({ group }) => group)) {
    const places = theirs.flatMap((letter) => sent.get(eventOf(letter)) ?? []);
    if (await readPast(log, group, places)) past.add(group);
  }
  return past;
}
