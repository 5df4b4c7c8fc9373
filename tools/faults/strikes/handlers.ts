import { delay } from '@tradewind/process/backoff';
import { Letters } from '../letters.ts';
import type { Member } from '../member.ts';
import { FAILS, HANGS, KILLS } from '../poison.ts';
import { poisoned } from '../rogue.ts';
import { misbehave, sabotaged } from '../sabotage.ts';
import { between, oneOf, type Stage, type Striker, seconds } from '../strike.ts';

/** A handler throws every so many'th time. */
export const throwing: Striker = ({ databases }, dice) => {
  const service = oneOf(sabotaged, dice);
  const every = between(5, 12, dice);
  const forMs = between(500, 4_000, dice);
  return {
    target: `${service}, every ${every}th time for ${seconds(forMs)}`,
    async run(hit) {
      await misbehave(databases[service], { how: 'throw', every, forMs });
      hit();
    },
  };
};

/** A handler does not come back, until the database gives up on its statement. */
export const hanging: Striker = ({ databases }, dice) => {
  const service = oneOf(sabotaged, dice);
  const every = between(10, 40, dice);
  return {
    target: `${service}, every ${every}th time for 1.0 s`,
    async run(hit) {
      await misbehave(databases[service], { how: 'hang', every, forMs: 1_000 });
      hit();
    },
  };
};

/** One message fails whenever it is tried. */
export const poison: Striker = ({ rogue, expect }, dice) => {
  const group = oneOf(poisoned, dice);
  return {
    target: `one message that ${group} never can handle`,
    async run(hit) {
      hit();
      expect(await rogue.poison(FAILS, 'failed', group));
    },
  };
};

/** One message kills whoever handles it, until it is given up. */
export const deadly: Striker = (stage, dice) => {
  const group = oneOf(poisoned, dice);
  return {
    target: `one message that kills the process of ${group} that handles it`,
    async run(hit) {
      const { rogue, expect } = stage;
      hit();
      const letter = await rogue.poison(KILLS, 'deadly', group);
      expect(letter);
      await untilGivenUp(stage, letter.key);
    },
  };
};

/** How long a process may say nothing before it is taken for one that hangs. */
const SILENCE_MS = 5_000;
/** The same for one that has not said anything yet: on a busy machine a start takes its time. */
const START_MS = 20_000;
/** Three deaths, each with a new start and a backlog that is gone through one by one. Longer ones are told by the audit. */
const GIVING_UP_MS = 600_000;

/** One message makes its process run in a circle; somebody watches, and ends what says nothing any more, until the message is given up. */
export const endless: Striker = (stage, dice) => {
  const group = oneOf(poisoned, dice);
  return {
    target: `one message that the process of ${group} that handles it never comes back from`,
    async run(hit) {
      const { rogue, expect, world, signal } = stage;
      hit();
      const letter = await rogue.poison(HANGS, 'deadly', group);
      expect(letter);
      const over = new AbortController();
      const watched = world
        .group(group)
        .map((member) => watch(member, AbortSignal.any([signal, over.signal])));
      try {
        await untilGivenUp(stage, letter.key);
      } finally {
        over.abort();
        await Promise.allSettled(watched);
      }
    },
  };
};

async function untilGivenUp({ world, signal }: Stage, key: string): Promise<void> {
  const letters = new Letters();
  for (const deadline = Date.now() + GIVING_UP_MS; Date.now() < deadline; await delay(500, signal)) {
    const found = await letters.read(world.log).catch(() => []);
    if (found.some((letter) => letter.key === key)) return;
  }
}

async function watch({ supervisor, readyUrl }: Member, signal: AbortSignal): Promise<void> {
  for (let asked = supervisor.pid, heardAt = Date.now(), limit = SILENCE_MS; ; await delay(500, signal)) {
    const { pid } = supervisor;
    const answer = await fetch(readyUrl, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer) limit = SILENCE_MS;
    else if (pid !== asked || pid === undefined) limit = START_MS;
    if (answer || pid !== asked || pid === undefined) heardAt = Date.now();
    asked = pid;
    if (Date.now() - heardAt > limit) supervisor.kill('SIGKILL');
  }
}
