import { Client } from 'pg';
import { HANGS, KILLS } from './poison.ts';

/**
 * Loaded before a listener (`node --import`): its process dies of one message, or hangs for ever in it. Which message that is, its
 * order's or talk's id says; the moment is the statement that locks that order's own row, or counts the rating, so what marks an event
 * beforehand has been written.
 */
const OWN_ROWS = /\bFROM (reservation|orders) WHERE .* FOR UPDATE$|^\s*INSERT INTO tally AS mine\b/;

// The signature is pg's own set of overloads; what is asked is passed on as it came.
const query = Client.prototype.query as (...args: unknown[]) => unknown;

function poisoned(this: Client, ...args: unknown[]): unknown {
  const [first, second] = args;
  const asked =
    typeof first === 'object' && first !== null
      ? (first as { text?: unknown; values?: unknown })
      : { text: first, values: second };
  if (typeof asked.text === 'string' && OWN_ROWS.test(asked.text)) {
    const values = JSON.stringify(asked.values ?? [], (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    if (values.includes(KILLS)) process.kill(process.pid, 'SIGKILL');
    while (values.includes(HANGS));
  }
  return query.apply(this, args);
}

Client.prototype.query = poisoned as typeof Client.prototype.query;
