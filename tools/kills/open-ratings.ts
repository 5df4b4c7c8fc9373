import { Client } from 'pg';
import type { Victim } from './plan.ts';
import type { System } from './system.ts';

/** Groups that count ratings. */
export type Counting = 'ratings' | 'product';

/** Processes on whose work counts of ratings wait: a kill of one is to hit ratings that are not counted yet. */
const VICTIMS: Readonly<Record<Victim, Counting>> = {
  'ratings serve': 'ratings',
  'ratings listen': 'ratings',
  'product listen': 'product',
};

/** The group whose counts wait for this process; undefined for all others. */
export const countingOf = (victim: Victim): Counting | undefined => VICTIMS[victim];

/** An event's id, a UUID of version 7, has the time in it when it was told. */
const OPEN = `
  SELECT count(*)::int AS open FROM inbox WHERE consumer_group = $1 AND source = 'ratings'
    AND handled_at > $2 AND handled_at < $2::timestamptz + interval '10 minutes' AND uuid_extract_timestamp(id::uuid) < $2`;

/** How many ratings had been accepted at a moment, and were counted by a group only later. Nobody can be asked in the very moment of a kill. */
export async function openRatingsAt(system: System, group: Counting, at: number): Promise<number> {
  const client = new Client({ connectionString: system.databaseUrl(group) });
  await client.connect();
  try {
    const { rows } = await client.query<{ open: number }>(OPEN, [group, new Date(at)]);
    return rows[0]?.open ?? 0;
  } finally {
    await client.end();
  }
}
