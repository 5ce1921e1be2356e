import type { Attributes, Span, SpanContext } from '@opentelemetry/api';

/** What a span is begun with. */
export interface SpanOptions {
  readonly kind: 'internal' | 'server' | 'client';
  /** Null: it begins a trace. */
  readonly parent: SpanContext | null;
  readonly attributes: Attributes;
  /** Another span that has to do with it. */
  readonly link?: SpanContext | null;
}

/** Where spans go. */
export interface Tracing extends AsyncDisposable {
  /** Whether texts of users, models and tools are put into spans. */
  readonly capturesText: boolean;
  begin(name: string, options: SpanOptions): Span;
}

/** How traces are exported. */
export interface TracingConfig {
  /** Where OTLP is posted to, e.g. http://collector:4318/v1/traces */
  readonly url: string;
  readonly protocol: 'http/protobuf' | 'http/json';
  /** May hold keys. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly serviceName: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly sampler: `${'parentbased_' | ''}${'always_on' | 'always_off' | 'traceidratio'}`;
  /** The part of traces that is sampled by the ratio, 0 to 1. */
  readonly ratio: number;
  readonly capturesText: boolean;
}

let active: Tracing | null = null;

/** Sends spans here from now on; null: nowhere. */
export function useTracing(tracing: Tracing | null): void {
  active = tracing;
}

/** Null: nobody collects traces. */
export function tracing(): Tracing | null {
  return active;
}

/** Begins a span if traces are collected. */
export function beginSpan(name: string, options: SpanOptions): Span | null {
  return active?.begin(name, options) ?? null;
}

/** OpenTelemetry's SpanStatusCode.ERROR; its package is not loaded without tracing. */
const errorStatus = 2;

/** Ends a span; with a class of error (`error.type`), as failed. Messages are left out: they may hold text. */
export function endSpan(span: Span | null, errorType: string | null = null): void {
  if (span === null) return;
  if (errorType !== null) {
    span.setAttribute('error.type', errorType);
    span.setStatus({ code: errorStatus });
  }
  span.end();
}
