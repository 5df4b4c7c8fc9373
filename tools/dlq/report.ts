import { type ErrandReport, isGood } from './errand.ts';
import { type Letter, placeText } from './letters.ts';
import type { Result } from './outcome.ts';
import type { Errand } from './send.ts';
import { counted, plain, short, table } from './table.ts';

/** Lines about single letters at most; more are only counted. */
const NAMED = 20;

/** One letter in one line. */
export function lineOf(letter: Letter): string[] {
  const { appendedAt, standing, group, reason, key, id, place, error } = letter;
  return [
    appendedAt.toISOString(),
    standing.state,
    group,
    reason,
    placeText(place),
    short(key ?? '', 40),
    short(id, 100),
    short(error, 100),
  ];
}

export const HEAD = ['dead since', 'state', 'group', 'reason', 'lies at', 'key', 'event', 'error'];

/** The newest letters, and how many there are of each kind. */
export function formatList(
  letters: readonly Letter[],
  limit: number,
  troubles: ReadonlyMap<string, string>,
): string {
  if (letters.length === 0) return 'no dead letters';
  const shown = letters.slice(-limit);
  const kinds = Map.groupBy(letters, ({ origin, group, reason, standing }) =>
    JSON.stringify([origin.topic, group, reason, standing.state]),
  );
  const counts = [...kinds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, theirs]) => {
      const [topic = '', group = '', reason = '', state = ''] = JSON.parse(kind) as string[];
      const [oldest, newest] = [theirs[0], theirs.at(-1)].map(
        (letter) => letter?.appendedAt.toISOString() ?? '',
      );
      return [topic, group, reason, state, String(theirs.length), oldest ?? '', newest ?? ''];
    });
  return [
    ...(shown.length < letters.length
      ? [`the newest ${shown.length} of ${letters.length} (--limit shows more)`]
      : []),
    ...table([HEAD, ...shown.map(lineOf)]),
    '',
    ...table([['topic', 'group', 'reason', 'state', 'letters', 'oldest', 'newest'], ...counts]),
    ...[...troubles].map(([group, why]) => `\nthe state of ${group}'s letters is unknown: ${why}`),
  ].join('\n');
}

/** What an errand came to, for people. */
export function formatErrand({ action, correction }: Errand, report: ErrandReport): string {
  const { results, sent, interrupted } = report;
  if (results.length === 0 && !interrupted) return `nothing to ${action}`;
  const line = ({ letter, outcome, why }: Result) => [
    `  ${outcome}`,
    `${letter.group}`,
    placeText(letter.origin),
    short(letter.id, 80),
    short(why ?? '', 160),
  ];
  // Where there are many, those that need somebody come first.
  const telling = results.length > NAMED ? results.filter((result) => !isGood(action, result)) : results;
  const more = telling.length - NAMED;
  const counts = [...Map.groupBy(results, ({ outcome }) => outcome)]
    .map(([outcome, theirs]) => `${theirs.length} ${outcome}`)
    .join(', ');
  return [
    ...table(telling.slice(0, NAMED).map(line)),
    ...(more > 0 ? [`  … and ${more} more (--json has all)`] : []),
    `${counts || 'nothing done'}; ${counted(sent, correction ? 'corrected record' : 'record')} sent${interrupted ? ', interrupted: what was sent stays sent' : ''}`,
  ].join('\n');
}

/** A letter as `--json` gives it: times in ISO form, offsets as text. */
export function letterJson(letter: Letter): object {
  const { standing, place, origin, ...rest } = letter;
  return plain({
    ...rest,
    place: placeText(place),
    topic: origin.topic,
    origin: placeText(origin),
    state: standing.state,
    ...(standing.why !== undefined && { why: standing.why }),
  }) as object;
}

/** An errand's report as `--json` gives it. */
export function errandJson({ action }: Errand, { results, sent, interrupted }: ErrandReport): object {
  return {
    action,
    sent,
    interrupted,
    letters: results.map((result) => ({
      ...letterJson(result.letter),
      outcome: result.outcome,
      ok: isGood(action, result),
      ...(result.why !== undefined && { why: result.why }),
    })),
  };
}
