import { toolSeconds } from './metrics.ts';
import { currentScope, inScope } from './scope.ts';
import { beginSpan, endSpan, tracing } from './spans.ts';

/** A tool call, as far as it is measured. */
export interface ObservedToolCall {
  readonly name: string;
  readonly source: 'BUILTIN' | 'HTTP' | 'MCP';
  /** The model's call id; null: a person called it. */
  readonly callId: string | null;
  readonly arguments: unknown;
  /** Aborted when the call is given up: it is over then, whatever the tool still does. */
  readonly signal: AbortSignal;
}

type Outcome = 'ok' | 'error' | 'failed' | 'timeout' | 'cancelled';

/** Measures a tool call, in a span of its own. What it throws or returns passes unchanged. */
export function observeToolCall<Result extends { readonly ok: boolean }>(
  call: ObservedToolCall,
  work: () => Promise<Result>,
): Promise<Result> {
  const { name, source, callId, signal } = call;
  const capturesText = tracing()?.capturesText === true;
  const scope = currentScope();
  const span = beginSpan(`execute_tool ${name}`, {
    kind: 'internal',
    parent: scope?.trace ?? null,
    attributes: {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': name,
      'gen_ai.tool.type': 'function',
      'switchboard.tool.source': source,
      ...(callId === null ? {} : { 'gen_ai.tool.call.id': callId }),
      ...(capturesText ? { 'gen_ai.tool.call.arguments': writeText(call.arguments) } : {}),
    },
  });
  const begunAt = performance.now();
  let isOver = false;
  const end = (outcome: Outcome) => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener('abort', onAbort);
    toolSeconds.observe({ source, outcome }, (performance.now() - begunAt) / 1_000);
    endSpan(span, outcome === 'ok' ? null : outcome);
  };
  const onAbort = () => end(isTimeout(signal.reason) ? 'timeout' : 'cancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  const inside = { requestId: scope?.requestId ?? null, trace: span?.spanContext() ?? scope?.trace ?? null };
  const done = inScope(inside, work);
  done.then(
    (result) => {
      if (capturesText && span && !isOver) span.setAttribute('gen_ai.tool.call.result', writeText(result));
      end(result.ok ? 'ok' : 'error');
    },
    () => (signal.aborted ? onAbort() : end('failed')),
  );
  return done;
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

function writeText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '';
  }
}
