import { expect, test } from 'vitest';
import { currentTraceContext, currentTraceparent, withTraceContext } from '../trace-context.ts';

test('without telemetry there is no trace, and a context that arrives changes nothing', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  expect(withTraceContext({ traceparent }, () => currentTraceparent())).toBeUndefined();
  expect(currentTraceContext()).toEqual({});
});
