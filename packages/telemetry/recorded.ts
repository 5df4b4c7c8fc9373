import { type Context, createContextKey } from '@opentelemetry/api';

/** Marks a context whose next span is recorded, whatever the head of its trace has decided. */
export const recordedKey = createContextKey('tradewind: recorded');

export function recorded(context: Context): Context {
  return context.setValue(recordedKey, true);
}
