import { activeSpan, Span } from '@tradewind/telemetry/span';
import { activeSpanContext, traceContextOf } from '@tradewind/telemetry/trace-context';
import { tracing } from '@tradewind/telemetry/tracer';
import type { Outcome } from './metrics.ts';

// Names, kinds and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span

/** The span of a question, with its retries, below whatever runs now; undefined where nothing is traced. */
export function questionSpan(url: URL): Span | undefined {
  if (!tracing()) return undefined;
  return new Span(`POST ${url.pathname}`, {
    scope: 'statistics',
    kind: 'client',
    parent: activeSpanContext() ?? null,
    attributes: {
      'http.request.method': 'POST',
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
      'url.scheme': url.protocol.slice(0, -1),
      'url.template': url.pathname,
    },
  });
}

/** The context that goes along with a question. */
export function contextHeaders(span: Span | undefined): Record<string, string> {
  const { traceparent, tracestate } = span ? traceContextOf(span.context) : {};
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}

/** Notes on the span of whoever asked that it got no statistics, and was not kept waiting. */
export function noteAbsence(outcome: Outcome): void {
  activeSpan()?.event('statistics left out', { 'tradewind.outcome': outcome });
}
