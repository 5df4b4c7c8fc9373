import { once } from 'node:events';
import { expect, test } from 'vitest';
import { Running, together } from '../together.ts';

const untilAborted = async (signal: AbortSignal) => {
  if (!signal.aborted) await once(signal, 'abort');
};

test('all parts run until the signal, and are named while they do', async () => {
  const controller = new AbortController();
  const running = new Running();
  const done = together({ serve: untilAborted, listen: untilAborted }, controller.signal, running);
  expect(running.names()).toEqual(['serve', 'listen']);
  controller.abort();
  await done;
  expect(running.names()).toEqual([]);
});

test('a part that fails stops the others, which may take their time, and its error is thrown', async () => {
  let drained = false;
  const slow = async (signal: AbortSignal) => {
    await untilAborted(signal);
    await new Promise(setImmediate);
    drained = true;
  };
  const failing = () => Promise.reject(new Error('port taken'));
  await expect(together({ slow, failing }, new AbortController().signal)).rejects.toThrow('port taken');
  expect(drained).toBe(true);
});

test('a part that ends though nobody asked it to is a failure', async () => {
  const done = together({ serve: untilAborted, listen: async () => undefined }, new AbortController().signal);
  await expect(done).rejects.toThrow('listen ended though nobody asked it to');
});

test('a part may stop by rejecting with the reason of the stop; any other error while stopping is thrown', async () => {
  const controller = new AbortController();
  const rejecting = async (signal: AbortSignal) => {
    await untilAborted(signal);
    signal.throwIfAborted();
  };
  const done = together({ rejecting }, controller.signal);
  controller.abort(new Error('stop'));
  await done;

  const second = new AbortController();
  const spoiling = async (signal: AbortSignal) => {
    await untilAborted(signal);
    throw new Error('could not drain');
  };
  const spoilt = together({ spoiling }, second.signal);
  second.abort();
  await expect(spoilt).rejects.toThrow('could not drain');
});
