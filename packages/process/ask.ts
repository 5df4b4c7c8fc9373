import { reasonOf } from './wait-for.ts';

/** What was asked, or why there is no answer. */
export type Asked<T> = { readonly answer: T } | { readonly why: string };

/**
 * Asks something that may be down: never rejects, and never takes longer than `ms`. What comes later is dropped; the signal that the question
 * gets is aborted then, for those who can stop half-way.
 */
export async function ask<T>(ms: number, question: (signal: AbortSignal) => Promise<T>): Promise<Asked<T>> {
  const given = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Asked<T>>((resolve) => {
    timer = setTimeout(() => {
      resolve({ why: 'no answer in time' });
      given.abort(new Error('no answer in time'));
    }, ms);
  });
  const asked = Promise.resolve()
    .then(() => question(given.signal))
    .then(
      (answer): Asked<T> => ({ answer }),
      (error: unknown): Asked<T> => ({ why: reasonOf(error) }),
    );
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The answer, or what stands for none. */
export function or<T, U>(asked: Asked<T>, otherwise: U): T | U {
  return 'answer' in asked ? asked.answer : otherwise;
}
