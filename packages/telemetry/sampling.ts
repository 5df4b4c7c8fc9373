import { type Attributes, type Context, type Link, ROOT_CONTEXT, SpanKind } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SamplingResult,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import { recordedKey } from './recorded.ts';
import type { SamplerName } from './tracing-options.ts';

/** Decides as `name` says, but for what has failed: that is always recorded. */
export function samplerOf(name: SamplerName, ratio: number): Sampler {
  const head = headOf(name, ratio);
  return {
    shouldSample(
      context: Context,
      traceId: string,
      spanName: string,
      kind: SpanKind,
      attributes: Attributes,
      links: Link[],
    ): SamplingResult {
      if (context.getValue(recordedKey)) return { decision: SamplingDecision.RECORD_AND_SAMPLED };
      return head.shouldSample(context, traceId, spanName, kind, attributes, links);
    },
    toString: () => `${head.toString()}, and failures`,
  };
}

/** Whether a trace that begins here is recorded. Asked before anything is made of a span, for most may be none. */
export function headDecision(name: SamplerName, ratio: number): (traceId: string) => boolean {
  const head = headOf(name, ratio);
  return (traceId) =>
    head.shouldSample(ROOT_CONTEXT, traceId, '', SpanKind.INTERNAL, {}, []).decision ===
    SamplingDecision.RECORD_AND_SAMPLED;
}

function headOf(name: SamplerName, ratio: number): Sampler {
  const [base, parent] = name.startsWith('parentbased_') ? [name.slice(12), true] : [name, false];
  const root =
    base === 'always_on'
      ? new AlwaysOnSampler()
      : base === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio);
  return parent ? new ParentBasedSampler({ root }) : root;
}
