import { Code, ConnectError } from '@connectrpc/connect';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';
import type { ExpectedLetter } from './rogue.ts';
import { deadLetterTopics } from './topics.ts';

export interface Letter extends ExpectedLetter {
  readonly error: string;
}

/** Remembers the dead letters that it has read; each look reads what came since. */
export class Letters {
  readonly #next = new Map<string, bigint>();
  readonly #found: Letter[] = [];

  async read(log: EventLog): Promise<readonly Letter[]> {
    let there = 0;
    for (const topic of deadLetterTopics) {
      const bounds = await log.bounds(topic).catch((error: unknown) => {
        if (ConnectError.from(error).code === Code.NotFound) return [];
        throw error;
      });
      there += bounds.length;
      for (const { partition, start, end } of bounds) {
        const name = `${topic}/${partition}`;
        for (let offset = this.#next.get(name) ?? start; offset < end; ) {
          const records = await log.read({ topic, partition, offset }, 500);
          const last = records.at(-1);
          if (!last) break;
          this.#found.push(...records.map((record) => letterOf(topic, record)));
          offset = last.offset + 1n;
          this.#next.set(name, offset);
        }
      }
    }
    // If there were none at all, they would be looked for in the wrong place.
    if (there === 0) throw new Error('there is no dead-letter topic on the log');
    return this.#found;
  }
}

function letterOf(topic: string, { key, headers }: ReceivedRecord): Letter {
  const { dlq_group: group = '', dlq_reason: reason = '', dlq_error: error = '' } = headers;
  return { topic, key: key ?? '', reason, group, error };
}

const nameOf = ({ topic, key, reason, group }: ExpectedLetter) =>
  `${topic}, key ${key}, ${reason}, of ${group}`;

/** Dead letters that should be there and are not, and those that nobody expected; one may lie there twice, as any record. */
export function judgeLetters(expected: readonly ExpectedLetter[], found: readonly Letter[]): string[] {
  const there = new Set(found.map(nameOf));
  const wanted = new Set(expected.map(nameOf));
  const missing = [...wanted].filter((name) => !there.has(name)).map((name) => `no dead letter: ${name}`);
  const surprising = new Map(
    found.filter((letter) => !wanted.has(nameOf(letter))).map((letter) => [nameOf(letter), letter]),
  );
  return [
    ...missing,
    ...[...surprising].map(([name, { error }]) => `a dead letter that nobody expected: ${name}: ${error}`),
  ];
}
