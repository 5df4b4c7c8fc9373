import type { RatingsReport, RatingsSkipped } from './audit-ratings.ts';
import { findings } from './findings.ts';
import type { RatingRunReport } from './rate-all.ts';

/** What an audit found of ratings, for people. */
export function formatRatings(report: RatingsReport | RatingsSkipped): string[] {
  if ('skipped' in report) return [`ratings    left out: ${report.skipped}`];
  const { ok, atRest, ratings, subjects, stores, off, more, listedTwice, lost, repeated, surplus } = report;
  const counted = off.map(
    ({ subject, by, expected, counted }) =>
      `${subject}: ${by === 'product' ? 'the product service' : by} has ${counted}, and not ${expected}`,
  );
  const surpluses = more.map(
    ({ subject, more, given, counted }) =>
      `${subject}: ${more} more counted than given: ${counted}, and not ${given}`,
  );
  return [
    `ratings    ${ratings} ratings, ${subjects} subjects, counted by ${stores.join(' and ')}: ${ok ? 'all is as it must be' : 'NOT as it must be'}`,
    ...(atRest ? [] : ['  never at rest: other traffic goes on, so what follows is not certain']),
    ...findings('listed twice', listedTwice),
    ...findings('counts that are not the ratings, as values 1 2 3 4 5', counted),
    ...findings('more counted than given: told of by others, or counted twice', surpluses),
    ...findings('lost: named in an answer, and not there as given', lost),
    ...findings('given in more than one answer', repeated),
    ...findings('surplus: ratings that nobody gave', surplus),
  ];
}

/** What came of the ratings of a replay, for people. */
export function formatRatingRun({ asked, given, changed, refused, unanswered }: RatingRunReport): string[] {
  return [
    `rated      ${given} of ${asked} ratings accepted, ${changed} of them changed afterwards`,
    ...findings('ratings refused, or answered wrongly', refused),
    ...findings('ratings not answered', unanswered),
  ];
}
