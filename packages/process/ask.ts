import { reasonOf } from './wait-for.ts';

/** What was asked, or why there is no answer. */
export type Asked<T> = { readonly answer: T } | { readonly why: string };

/**
 * Asks something that may be down: never rejects, and never takes longer than `ms`. What comes later is dropped; the signal that the question
 * gets is aborted then, for those who can stop half-way. So it is when `until` aborts: nobody waits for the answer any more.
 */
export async function ask<T>(
  ms: number,
  question: (signal: AbortSignal) => Promise<T>,
  until?: AbortSignal,
): Promise<Asked<T>> {
  const given = new AbortController();
  const late = Promise.withResolvers<Asked<T>>();
  const end = (why: string) => {
    late.resolve({ why });
    given.abort(new Error(why));
  };
  const left = () => end('nobody waits for it any more');
  const timer = setTimeout(() => end('no answer in time'), ms);
  if (until?.aborted) left();
  until?.addEventListener('abort', left, { once: true });
  const asked = Promise.resolve()
    .then(() => question(given.signal))
    .then(
      (answer): Asked<T> => ({ answer }),
      (error: unknown): Asked<T> => ({ why: reasonOf(error) }),
    );
  try {
    return await Promise.race([asked, late.promise]);
  } finally {
    clearTimeout(timer);
    until?.removeEventListener('abort', left);
  }
}

/** The answer, or what stands for none. */
export function or<T, U>(asked: Asked<T>, otherwise: U): T | U {
  return 'answer' in asked ? asked.answer : otherwise;
}
