import type OpenAI from 'openai';
import { z } from 'zod';
import type { HistoryItem, ModelRequest } from '../../engine/ports.ts';
import { isOpenAiHost } from '../../outbound/allowed-hosts.ts';
import { brokenOff, failureOfReport, malformedAnswer, refusal } from './failures.ts';
import { writeCallArguments, writeCallId, writeCallName, writeFunction } from './functions.ts';
import type { GatheredCall, StepAccumulator, StepReader } from './step.ts';
import { readResponseUsage } from './usage.ts';

/** The fewest output tokens that OpenAI accepts here. */
const minOutputTokens = 16;

/** The body of a streamed response. Nothing is stored at the provider: the history is ours. */
export function writeResponsesRequest(request: ModelRequest): OpenAI.Responses.ResponseCreateParamsStreaming {
  const { endpoint, instructions, tools, maxTokens } = request;
  const openai = isOpenAiHost(endpoint.apiUrl);
  return {
    model: endpoint.model,
    ...(instructions === '' ? {} : { instructions }),
    input: request.history.flatMap(writeItems),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map((tool) => ({
            type: 'function',
            ...writeFunction(tool),
            // Strict is the default here, and refuses most schemas that people write.
            strict: false,
          })),
        }),
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    max_output_tokens: openai ? Math.max(maxTokens, minOutputTokens) : maxTokens,
    store: false,
    stream: true,
    // Obfuscation pads every token; Azure's dated versions do not know it.
    ...(openai && endpoint.query?.['api-version'] === undefined
      ? { stream_options: { include_obfuscation: false } }
      : {}),
  };
}

function writeItems(item: HistoryItem): OpenAI.Responses.ResponseInputItem[] {
  if (item.role === 'tool') {
    return [{ type: 'function_call_output', call_id: writeCallId(item.callId), output: item.output }];
  }
  if (item.role !== 'assistant') return [item];
  const { content, calls } = item;
  return [
    ...(content === '' ? [] : [{ role: 'assistant', content } as const]),
    ...calls.map((call) => ({
      type: 'function_call' as const,
      call_id: writeCallId(call.id),
      name: writeCallName(call.name),
      arguments: writeCallArguments(call.arguments),
    })),
  ];
}

const itemEvent = z.object({
  output_index: z.int(),
  item: z.object({
    type: z.string(),
    call_id: z.string().nullish(),
    name: z.string().nullish(),
    arguments: z.string().nullish(),
  }),
});

const argumentsDelta = z.object({ output_index: z.int(), delta: z.string() });
const argumentsDone = z.object({ output_index: z.int(), arguments: z.string() });

const terminalEvent = z.object({
  response: z.object({
    usage: z.unknown().optional(),
    error: z.unknown().optional(),
    incomplete_details: z.object({ reason: z.string().nullish() }).nullish().catch(null),
  }),
});

/** Reads a Responses stream. */
export class ResponsesReader implements StepReader {
  readonly #out: StepAccumulator;
  readonly #apiKey: string;
  /** By the index of their output item. */
  readonly #calls = new Map<number, GatheredCall>();
  #terminal: { readonly cut: boolean; readonly usage: unknown } | undefined;
  #hasText = false;

  constructor(out: StepAccumulator, apiKey: string) {
    this.#out = out;
    this.#apiKey = apiKey;
  }

  get settled(): boolean {
    return this.#terminal !== undefined;
  }

  get ended(): boolean {
    return this.#terminal !== undefined;
  }

  read(name: string, data: object): void {
    const type = 'type' in data ? data.type : name;
    const delta = 'delta' in data && typeof data.delta === 'string' ? data.delta : '';
    switch (type) {
      // Once per token: no schema.
      case 'response.output_text.delta':
        this.#hasText = true;
        this.#out.addText(delta);
        return;
      case 'response.reasoning_summary_text.delta':
      case 'response.reasoning_text.delta':
        this.#out.addReasoning(delta);
        return;
      case 'response.reasoning_summary_part.added':
        if ('summary_index' in data && data.summary_index !== 0) this.#out.addReasoning('\n\n');
        return;
      case 'response.refusal.delta':
        if (delta !== '') throw refusal();
        return;
      case 'response.refusal.done':
        throw refusal();
      case 'response.output_item.added':
      case 'response.output_item.done':
        this.#readItem(parse(itemEvent, data), type === 'response.output_item.added');
        return;
      case 'response.function_call_arguments.delta': {
        const event = parse(argumentsDelta, data);
        this.#writeArguments(event.output_index, (this.#calls.get(event.output_index)?.arguments ?? '') + event.delta);
        return;
      }
      case 'response.function_call_arguments.done': {
        const event = parse(argumentsDone, data);
        this.#writeArguments(event.output_index, event.arguments);
        return;
      }
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        this.#readTerminal(type, parse(terminalEvent, data).response);
        return;
      default:
        // Everything else is told again by an event above, or is of no concern here, unless it is an error.
        if ('error' in data && data.error) throw failureOfReport(data.error, this.#apiKey);
        if (type === 'error' || name === 'error') throw failureOfReport(withoutType(data), this.#apiKey);
    }
  }

  finish(): void {
    if (this.#terminal === undefined) throw brokenOff();
    const calls = [...this.#calls].sort(([a], [b]) => a - b).map(([, call]) => call);
    this.#out.finish(this.#terminal.cut, calls, readResponseUsage(this.#terminal.usage));
  }

  #readItem({ output_index: index, item }: z.infer<typeof itemEvent>, added: boolean): void {
    if (item.type === 'message' && added && this.#hasText) {
      // A model may write two messages in one answer; to the reader they are one text.
      this.#out.addText('\n\n');
      return;
    }
    if (item.type !== 'function_call') return;
    const known = this.#calls.get(index);
    const text = item.arguments || known?.arguments || '';
    this.#out.count(text.length - (known?.arguments.length ?? 0) + (known === undefined ? 1 : 0));
    this.#calls.set(index, {
      id: item.call_id ?? known?.id ?? '',
      name: item.name ?? known?.name ?? '',
      arguments: text,
    });
  }

  #writeArguments(index: number, text: string): void {
    const call = this.#calls.get(index);
    // The item that names the call comes first, or there is no call.
    if (call === undefined) throw malformedAnswer();
    this.#out.count(text.length - call.arguments.length);
    this.#calls.set(index, { ...call, arguments: text });
  }

  #readTerminal(type: string, response: z.infer<typeof terminalEvent>['response']): void {
    if (type === 'response.failed') throw failureOfReport(response.error, this.#apiKey);
    if (type === 'response.cancelled') throw brokenOff();
    const reason = response.incomplete_details?.reason;
    if (reason === 'content_filter') throw refusal();
    this.#terminal = { cut: type === 'response.incomplete', usage: response.usage };
  }
}

function parse<T>(schema: z.ZodType<T>, data: object): T {
  const parsed = schema.safeParse(data);
  if (!parsed.success) throw malformedAnswer();
  return parsed.data;
}

/** The event's own type, `error`, says nothing about the error. */
function withoutType(data: object): object {
  return { ...data, type: undefined };
}
