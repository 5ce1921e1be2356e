import { AsyncLocalStorage } from 'node:async_hooks';
import type { SpanContext } from '@opentelemetry/api';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

/** What a piece of work and everything that it awaits or starts belong to. */
export interface Scope {
  /** The id of the request that began it; null: not known yet, or none did. */
  requestId: string | null;
  /** The innermost span; without tracing, what the client has sent. Null: no trace. */
  trace: SpanContext | null;
}

const scopes = new AsyncLocalStorage<Scope | null>();

/** Runs work in a scope of its own. */
export function inScope<T>(scope: Scope, work: () => T): T {
  return scopes.run(scope, work);
}

/** Runs the work of a request in an empty scope; its operation fills it when it is known. */
export function inNewScope<T>(work: () => T): T {
  return scopes.run({ requestId: null, trace: null }, work);
}

/** Runs work that outlives the request that caused it and serves others too, such as a connection. */
export function outsideScope<T>(work: () => T): T {
  return scopes.run(null, work);
}

/** The scope of the current work; null: it has none. */
export function currentScope(): Scope | null {
  return scopes.getStore() ?? null;
}

/** What every log line of the current work says of it. */
export function logFields(): Record<string, string> {
  const scope = currentScope();
  if (scope === null) return {};
  const { requestId, trace } = scope;
  return { ...(requestId === null ? {} : { requestId }), ...(trace === null ? {} : { traceId: trace.traceId }) };
}

/**
 * The headers by which another system joins the trace of the current work. Who sends them decides first whether that
 * system may know: see docs/operations.md.
 */
export function traceHeaders(trace: SpanContext | null = currentScope()?.trace ?? null): Record<string, string> {
  const requestId = currentScope()?.requestId ?? null;
  return {
    ...(trace === null ? {} : { traceparent: formatTraceparent(trace) }),
    ...(requestId === null ? {} : { 'x-request-id': requestId }),
  };
}

/** The trace of a run as its row keeps it, so that the run joins it again later and on another instance. */
export interface StoredTrace {
  readonly requestId: string | null;
  readonly traceparent: string | null;
}

/** The trace of the current work, to be stored with the run that it starts. */
export function storeTrace(): { readonly trace?: StoredTrace } {
  const scope = currentScope();
  if (scope === null || (scope.requestId === null && scope.trace === null)) return {};
  const { requestId, trace } = scope;
  return { trace: { requestId, traceparent: trace === null ? null : formatTraceparent(trace) } };
}

/** The scope that a stored run goes on in. */
export function restoreScope(stored: StoredTrace | undefined): Scope {
  return { requestId: stored?.requestId ?? null, trace: parseTraceparent(stored?.traceparent) };
}
