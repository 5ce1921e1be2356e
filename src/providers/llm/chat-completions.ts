import type OpenAI from 'openai';
import { z } from 'zod';
import type { HistoryItem, ModelRequest } from '../../engine/ports.ts';
import { isOpenAiHost } from '../../outbound/allowed-hosts.ts';
import { brokenOff, failureOfReport, malformedAnswer, refusal } from './failures.ts';
import { writeCallArguments, writeCallId, writeCallName, writeFunction } from './functions.ts';
import type { GatheredCall, StepAccumulator, StepReader } from './step.ts';
import { hasTokenLimit } from './turn-settings.ts';
import { readChatUsage } from './usage.ts';

type Message = OpenAI.Chat.Completions.ChatCompletionMessageParam;

/** The body of a streamed chat completion. */
export function writeChatRequest(request: ModelRequest): OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming {
  const { endpoint, instructions, tools, maxTokens } = request;
  const openai = isOpenAiHost(endpoint.apiUrl);
  // Obfuscation pads every token, and is known to nobody but OpenAI; Azure's dated versions refuse what they do not know.
  const obfuscates = openai && endpoint.query?.['api-version'] === undefined;
  const system: Message[] = instructions === '' ? [] : [{ role: 'system', content: instructions }];
  return {
    model: endpoint.model,
    messages: [...system, ...request.history.flatMap(writeMessage)],
    ...(tools.length === 0
      ? {}
      : { tools: tools.map((tool) => ({ type: 'function', function: writeFunction(tool) })) }),
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    ...writeTokenLimit(maxTokens, openai, endpoint.options),
    stream: true,
    stream_options: obfuscates ? { include_usage: true, include_obfuscation: false } : { include_usage: true },
  };
}

function writeTokenLimit(maxTokens: number, openai: boolean, options: ModelRequest['endpoint']['options']) {
  // The options come over this body, and two limits at once are refused.
  if (hasTokenLimit(options ?? {})) return {};
  // OpenAI's newer models refuse the old name; Ollama, llama.cpp and others pass over the new one in silence.
  return openai ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens };
}

function writeMessage(item: HistoryItem): Message[] {
  if (item.role === 'tool') return [{ role: 'tool', tool_call_id: writeCallId(item.callId), content: item.output }];
  if (item.role !== 'assistant') return [item];
  const { content, calls } = item;
  if (calls.length === 0) return content === '' ? [] : [{ role: 'assistant', content }];
  return [
    {
      role: 'assistant',
      content: content === '' ? null : content,
      tool_calls: calls.map((call) => ({
        id: writeCallId(call.id),
        type: 'function',
        function: { name: writeCallName(call.name), arguments: writeCallArguments(call.arguments) },
      })),
    },
  ];
}

const fragments = z.array(
  z.object({
    index: z.int().nullish(),
    id: z.string().nullish(),
    function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
  }),
);

/** Reads a Chat Completions stream. */
export class ChatCompletionsReader implements StepReader {
  readonly #out: StepAccumulator;
  readonly #apiKey: string;
  readonly #calls: { -readonly [Key in keyof GatheredCall]: GatheredCall[Key] }[] = [];
  /** Which call the fragments of an index belong to. */
  readonly #current = new Map<number, number>();
  #finishReason: string | undefined;
  #usage: unknown;
  /** The end is the end of the stream: usage comes after the reason. */
  readonly ended = false;

  constructor(out: StepAccumulator, apiKey: string) {
    this.#out = out;
    this.#apiKey = apiKey;
  }

  get settled(): boolean {
    return this.#finishReason !== undefined;
  }

  read(name: string, data: object): void {
    if ('error' in data && data.error) throw failureOfReport(data.error, this.#apiKey);
    if (name === 'error') throw failureOfReport(data, this.#apiKey);
    if ('usage' in data && data.usage) this.#usage = data.usage;
    if (!('choices' in data) || !Array.isArray(data.choices)) return;
    const choice: unknown = data.choices[0];
    if (typeof choice !== 'object' || choice === null) return;
    if ('delta' in choice && typeof choice.delta === 'object' && choice.delta !== null) this.#readDelta(choice.delta);
    if ('finish_reason' in choice && typeof choice.finish_reason === 'string') {
      this.#finishReason = choice.finish_reason;
    }
  }

  finish(): void {
    if (this.#finishReason === undefined || this.#finishReason === 'error') throw brokenOff();
    if (this.#finishReason === 'content_filter') throw refusal();
    this.#out.finish(this.#finishReason === 'length', this.#calls, readChatUsage(this.#usage));
  }

  // Once per token: checks by hand, and no schema.
  #readDelta(delta: object): void {
    if ('content' in delta && typeof delta.content === 'string') this.#out.addText(delta.content);
    // Two names for the same: DeepSeek and vLLM use the first, OpenRouter, Groq and Ollama the second.
    if ('reasoning_content' in delta && typeof delta.reasoning_content === 'string') {
      this.#out.addReasoning(delta.reasoning_content);
    } else if ('reasoning' in delta && typeof delta.reasoning === 'string') this.#out.addReasoning(delta.reasoning);
    if ('refusal' in delta && typeof delta.refusal === 'string' && delta.refusal !== '') throw refusal();
    if ('tool_calls' in delta && delta.tool_calls) this.#readFragments(delta.tool_calls);
  }

  #readFragments(value: unknown): void {
    const parsed = fragments.safeParse(value);
    if (!parsed.success) throw malformedAnswer();
    for (const { index, id, function: called } of parsed.data) {
      const call = this.#findCall(index ?? undefined, id ?? '', called?.name ?? '');
      const text = called?.arguments ?? '';
      this.#out.count(text.length);
      call.arguments += text;
    }
  }

  /**
   * The call that a fragment belongs to: by index, as documented. Compatible servers leave the index out, or give
   * every call the same, and then a new id with a name begins a new call.
   */
  #findCall(index: number | undefined, id: string, name: string) {
    const position = index === undefined ? this.#calls.length - 1 : this.#current.get(index);
    const known = position === undefined ? undefined : this.#calls[position];
    const begins = name !== '' && (index === undefined ? id !== known?.id || id === '' : id !== '' && id !== known?.id);
    if (known !== undefined && !begins) {
      if (known.id === '') known.id = id;
      if (known.name === '') known.name = name;
      return known;
    }
    this.#out.count(id.length + name.length + 1);
    const call = { id, name, arguments: '' };
    if (index !== undefined) this.#current.set(index, this.#calls.length);
    this.#calls.push(call);
    return call;
  }
}
