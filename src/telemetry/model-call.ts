import type { Attributes, Span } from '@opentelemetry/api';
import { modelSeconds } from './metrics.ts';
import { modelLabel } from './model-label.ts';
import { currentScope, traceHeaders } from './scope.ts';
import { beginSpan, endSpan, tracing } from './spans.ts';

/** What a model call is made for. */
type CallPurpose = 'turn' | 'guardrail' | 'test' | 'title';

/** A model call, as far as it is measured. */
export interface ObservedModelCall {
  readonly purpose: CallPurpose;
  readonly apiUrl: string;
  readonly model: string;
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  /** What is sent to the model; it is put into spans on opt-in only. */
  readonly instructions: string;
  readonly history: readonly unknown[];
}

/** What a model call returns, as far as spans tell of it. */
type ObservedEvent =
  | { readonly type: 'text' | 'reasoning'; readonly delta: string }
  | { readonly type: 'call'; readonly call: { readonly id: string; readonly name: string; readonly arguments: string } }
  | {
      readonly type: 'finished';
      readonly reason: string;
      readonly usage: {
        readonly inputTokens: number;
        readonly outputTokens: number;
        readonly cachedInputTokens: number;
        readonly cacheWriteInputTokens: number;
        readonly reasoningTokens: number;
      } | null;
    };

/** Characters of an answer that are put into a span, on opt-in. */
const maxTextLength = 20_000;

/** The hosts of providers that have a name of their own in OpenTelemetry (`gen_ai.provider.name`). */
const providerNames: readonly (readonly [host: RegExp, name: string])[] = [
  [/(^|\.)api\.openai\.com$/, 'openai'],
  [/\.(openai|cognitiveservices)\.azure\.com$/, 'azure.ai.openai'],
  [/(^|\.)groq\.com$/, 'groq'],
  [/(^|\.)anthropic\.com$/, 'anthropic'],
  [/(^|\.)mistral\.ai$/, 'mistral_ai'],
  [/(^|\.)deepseek\.com$/, 'deepseek'],
  [/(^|\.)x\.ai$/, 'x_ai'],
  [/(^|\.)perplexity\.ai$/, 'perplexity'],
  [/(^|\.)generativelanguage\.googleapis\.com$/, 'gcp.gemini'],
];

/** Measures one model call, in a span of its own. */
export class ModelCallTelemetry {
  readonly #call: ObservedModelCall;
  readonly #span: Span | null;
  readonly #begunAt = performance.now();
  #outcome = 'CANCELLED';

  constructor(call: ObservedModelCall) {
    this.#call = call;
    const parent = currentScope()?.trace ?? null;
    // Nothing is put together for nobody.
    this.#span =
      tracing() === null
        ? null
        : beginSpan(`chat ${call.model}`, { kind: 'client', parent, attributes: describeCall(call) });
  }

  /** The headers by which the provider joins the trace. */
  get headers(): Record<string, string> {
    return traceHeaders(this.#span?.spanContext());
  }

  /** Passes on what the model returns, and notes it in the span if there is one. */
  watch<Event extends ObservedEvent>(events: AsyncIterable<Event>): AsyncIterable<Event> {
    const span = this.#span;
    return span?.isRecording() ? noteEvents(events, span, this.#begunAt) : events;
  }

  /** Its answer is complete. */
  succeed(): void {
    this.#outcome = 'OK';
  }

  /** It failed. @param code one of a fixed set */
  fail(code: string): void {
    this.#outcome = code;
  }

  /** It is over; without a call of `succeed` or `fail` before, it was given up. */
  end(): void {
    const outcome = this.#outcome;
    const { purpose, model } = this.#call;
    const seconds = (performance.now() - this.#begunAt) / 1_000;
    modelSeconds.observe({ purpose, model: modelLabel(model), outcome }, seconds);
    endSpan(this.#span, outcome === 'OK' ? null : outcome);
  }
}

function describeCall(call: ObservedModelCall): Attributes {
  const { purpose, model, temperature, maxTokens } = call;
  const url = URL.parse(call.apiUrl);
  const host = url?.hostname ?? '';
  const port = url?.port || (url?.protocol === 'http:' ? '80' : '443');
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': providerNames.find(([known]) => known.test(host))?.[1] ?? 'openai_compatible',
    'gen_ai.request.model': model,
    'gen_ai.request.stream': true,
    ...(temperature === null ? {} : { 'gen_ai.request.temperature': temperature }),
    ...(maxTokens === null ? {} : { 'gen_ai.request.max_tokens': maxTokens }),
    ...(host === '' ? {} : { 'server.address': host, 'server.port': Number(port) }),
    'switchboard.model_call.purpose': purpose,
    ...(tracing()?.capturesText ? describeInput(call) : {}),
  };
}

function describeInput({ instructions, history }: ObservedModelCall): Attributes {
  return {
    'gen_ai.system_instructions': JSON.stringify([{ type: 'text', content: instructions }]),
    'gen_ai.input.messages': JSON.stringify(history.map(describeMessage)),
  };
}

/** An entry of the history in the form of OpenTelemetry's gen-ai-input-messages. */
function describeMessage(entry: unknown): unknown {
  const item: Record<string, unknown> = typeof entry === 'object' && entry !== null ? { ...entry } : {};
  const { role, content, calls, callId, output } = item;
  const text = typeof content === 'string' && content !== '' ? [{ type: 'text', content }] : [];
  const result = callId === undefined ? [] : [{ type: 'tool_call_response', id: callId, response: output }];
  return { role, parts: [...text, ...(Array.isArray(calls) ? calls.map(describeToolCall) : []), ...result] };
}

function describeToolCall(call: { readonly id: string; readonly name: string; readonly arguments: string }): unknown {
  return { type: 'tool_call', id: call.id, name: call.name, arguments: call.arguments };
}

async function* noteEvents<Event extends ObservedEvent>(
  events: AsyncIterable<Event>,
  span: Span,
  begunAt: number,
): AsyncGenerator<Event, void, undefined> {
  const capturesText = tracing()?.capturesText === true;
  const calls: unknown[] = [];
  let text = '';
  let hasBegun = false;
  for await (const event of events) {
    if (event.type === 'finished') {
      span.setAttributes({ 'gen_ai.response.finish_reasons': [event.reason], ...describeUsage(event.usage) });
      if (capturesText) {
        const parts = [...(text === '' ? [] : [{ type: 'text', content: text }]), ...calls];
        const message = { role: 'assistant', parts, finish_reason: event.reason };
        span.setAttribute('gen_ai.output.messages', JSON.stringify([message]));
      }
    } else if (!hasBegun) {
      hasBegun = true;
      span.setAttribute('gen_ai.response.time_to_first_chunk', (performance.now() - begunAt) / 1_000);
    }
    if (capturesText && event.type === 'text' && text.length < maxTextLength) text += event.delta;
    if (capturesText && event.type === 'call') calls.push(describeToolCall(event.call));
    yield event;
  }
}

function describeUsage(usage: Extract<ObservedEvent, { type: 'finished' }>['usage']): Attributes {
  if (usage === null) return {};
  return {
    'gen_ai.usage.input_tokens': usage.inputTokens,
    'gen_ai.usage.output_tokens': usage.outputTokens,
    'gen_ai.usage.cache_read.input_tokens': usage.cachedInputTokens,
    'gen_ai.usage.cache_creation.input_tokens': usage.cacheWriteInputTokens,
    'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens,
  };
}
