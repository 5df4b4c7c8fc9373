import type { Evidence } from './evidence.ts';
import { legs } from './legs.ts';

/** Something that could not be asked, and what is not known for that. */
export interface Unknown {
  readonly about: string;
  readonly why: string;
}

/** Everything that could not be asked. */
export function unknownsOf({ log, trails, moving }: Evidence): Unknown[] {
  const { stock } = trails;
  return [
    ...(moving ? [{ about: 'order', why: 'it changed while its events were looked for: ask again' }] : []),
    ...('why' in log
      ? [
          {
            about: 'event log',
            why: `it can't be asked: ${log.why}. What is on its way, and what is a dead letter, is not known`,
          },
        ]
      : log.answer.gaps.map(({ topic, why }) => ({ about: topic, why }))),
    ...('why' in stock
      ? [
          {
            about: 'stock',
            why: `it can't be asked: ${stock.why}. What became of what it has read is told as far as the log shows it`,
          },
        ]
      : []),
    ...Object.entries(trails).flatMap(([party, trail]) =>
      'answer' in trail && trail.answer.factsIncomplete
        ? [{ about: `${party}'s outbox`, why: 'it is too long to be looked through as a whole' }]
        : [],
    ),
    ...Object.entries(trails).flatMap(([party, trail]) =>
      'answer' in trail && trail.answer.heldIncomplete
        ? [{ about: party, why: 'it holds more events of this order than it tells: those that wait first' }]
        : [],
    ),
    ...removed(log),
  ];
}

function removed(log: Evidence['log']): Unknown[] {
  if ('why' in log) return [];
  return legs.flatMap(({ topic }) => {
    const found = log.answer.found.get(topic);
    return found?.cut && found.records.length === 0
      ? [
          {
            about: topic,
            why: 'the log keeps its records for a time, and may have removed those of this order',
          },
        ]
      : [];
  });
}
