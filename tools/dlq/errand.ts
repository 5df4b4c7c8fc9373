import { redriveTopic } from '@tradewind/messaging/contract';
import { eventOf } from '@tradewind/messaging/dead-letters';
import type { EventLog } from '@tradewind/messaging/log';
import type { Inboxes } from './inboxes.ts';
import type { Letter } from './letters.ts';
import { awaitOutcomes, type Outcome, type Result } from './outcome.ts';
import { type Errand, type Sent, send, underWay } from './send.ts';

export interface RunErrandOptions {
  readonly log: EventLog;
  readonly inboxes: Inboxes;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** How long to wait for news of what was sent, in milliseconds; 0: not at all. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: (what: string, done: number, total: number) => void;
}

/** What an errand came to, letter by letter. */
export interface ErrandReport {
  /** Records that were appended. */
  readonly sent: number;
  readonly results: readonly Result[];
  /** Ended by the signal half-way: what was sent stays sent. */
  readonly interrupted: boolean;
}

const GOOD: readonly Outcome[] = ['handled', 'discarded', 'sent', 'would be sent'];

/** Whether the letter is where the errand wanted it to be. */
export function isGood(action: Errand['action'], { outcome }: Result): boolean {
  if (outcome === 'already discarded') return action === 'discard';
  if (outcome === 'already handled' || outcome === 'in retry') return action === 'redrive';
  if (outcome === 'handled') return action === 'redrive';
  return GOOD.includes(outcome);
}

/**
 * Redrives or discards letters: sends what is open and not on its way yet to the groups, and waits for what becomes of it. A letter that is
 * settled already is left alone, so that doing it twice changes nothing.
 */
export async function runErrand(
  letters: readonly Letter[],
  errand: Errand,
  options: RunErrandOptions,
): Promise<ErrandReport> {
  const { log, inboxes, dryRun, patienceMs, signal, onProgress } = options;
  const settled = new Map<Letter, Result>();
  for (const letter of letters) {
    const result = withoutSending(letter, errand);
    if (result) settled.set(letter, result);
  }
  const open = letters.filter((letter) => !settled.has(letter));
  const report = (results: readonly Result[], sent: number, interrupted = false): ErrandReport => {
    const of = new Map([...settled, ...results.map((result) => [result.letter, result] as const)]);
    return { sent, results: letters.flatMap((letter) => of.get(letter) ?? []), interrupted };
  };
  if (dryRun) return report(all(open, 'would be sent'), 0);
  const before = open.length > 0 ? await underWay(log, groupsOf(open), errand.action) : new Map();
  // A corrected payload is another matter than what is on its way.
  const due = open.filter((letter) => errand.correction !== undefined || !before.has(eventOf(letter)));
  const places: Sent = new Map(before);
  let sent = 0;
  try {
    if (due.length > 0)
      await send(log, due, errand, places, signal, (count) => {
        sent = count;
        onProgress('sent', count, due.length);
      });
    if (patienceMs === 0) return report(all(open, 'sent'), sent);
    const onNews = (done: number, total: number) => onProgress('settled', done, total);
    return report(await awaitOutcomes(open, places, { log, inboxes, patienceMs, signal, onNews }), sent);
  } catch (error) {
    if (!signal.aborted) throw error;
    return report(
      all(
        open.filter((letter) => places.has(eventOf(letter))),
        'sent',
      ),
      sent,
      true,
    );
  }
}

/** What can be said of a letter for which nothing is to be sent; undefined for the others. */
function withoutSending(letter: Letter, { action }: Errand): Result | undefined {
  const { standing, origin, group } = letter;
  const result = (outcome: Outcome, why?: string): Result => ({
    letter,
    outcome,
    ...(why !== undefined && { why }),
  });
  if (standing.state === 'redriven') return result('already handled');
  if (standing.state === 'discarded') return result('already discarded');
  if (standing.state === 'held')
    return result('in retry', action === 'discard' ? 'it can be discarded once it is dead again' : undefined);
  if (standing.forgotten)
    return result('forgotten', `${group} does not know it any more, so it would change nothing`);
  if (action === 'redrive' && origin.topic === redriveTopic(group))
    return result(
      'not an event',
      `somebody put it on ${origin.topic}, and it was no dead letter: nothing handles it`,
    );
  return undefined;
}

const all = (letters: readonly Letter[], outcome: Outcome): Result[] =>
  letters.map((letter) => ({ letter, outcome }));
const groupsOf = (letters: readonly Letter[]) => letters.map(({ group }) => group);
