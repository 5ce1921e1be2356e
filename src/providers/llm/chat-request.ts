import type OpenAI from 'openai';
import { isRecord } from '../../engine/json.ts';
import type { HistoryItem, ModelRequest } from '../../engine/ports.ts';
import { isOpenAiHost } from '../../outbound/allowed-hosts.ts';
import { writeCallIds } from './call-ids.ts';
import type { ChatState } from './chat-state.ts';
import { writeCallArguments, writeCallName, writeFunction } from './functions.ts';
import { dropBlanks, listImageUrls, normalizeHistory } from './normalize-history.ts';
import { findQuirks, type Quirks } from './quirks.ts';
import { hasTokenLimit } from './turn-settings.ts';

type Message = OpenAI.Chat.Completions.ChatCompletionMessageParam;

/** Google's own replacement for a signature that does not exist, e.g. because another model made the call. */
const noSignature = { google: { thought_signature: 'skip_thought_signature_validator' } };

/** The body of a streamed chat completion. */
export function writeChatRequest(request: ModelRequest): OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming {
  const { endpoint, tools, maxTokens } = request;
  const isOpenAi = isOpenAiHost(endpoint.apiUrl);
  const quirks = findQuirks(endpoint);
  const { instructions, history } = quirks.isLenient
    ? { ...request, history: dropBlanks(request.history) }
    : normalizeHistory(request);
  // Only OpenAI knows obfuscation, which pads every token; Azure's dated versions refuse unknown parameters.
  const obfuscates = isOpenAi && endpoint.query?.['api-version'] === undefined;
  const system: Message[] = instructions === '' ? [] : [{ role: 'system', content: instructions }];
  return {
    model: endpoint.model,
    messages: [...system, ...writeCallIds(history, quirks.callIds).flatMap((item) => writeMessage(item, quirks))],
    ...(tools.length === 0
      ? {}
      : { tools: tools.map((tool) => ({ type: 'function', function: writeFunction(tool, endpoint) })) }),
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    ...writeTokenLimit(maxTokens, isOpenAi, endpoint.options),
    stream: true,
    stream_options: obfuscates ? { include_usage: true, include_obfuscation: false } : { include_usage: true },
  };
}

function writeTokenLimit(maxTokens: number | null, isOpenAi: boolean, options: ModelRequest['endpoint']['options']) {
  // The options replace fields of this body, and providers refuse two limits at once.
  if (maxTokens === null || hasTokenLimit(options ?? {})) return {};
  // OpenAI's newer models refuse the old name; Ollama, llama.cpp and others ignore the new one.
  return isOpenAi ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens };
}

function writeMessage(item: HistoryItem, quirks: Quirks): Message[] {
  if (item.role === 'tool') {
    return [{ role: 'tool', tool_call_id: item.callId, content: item.output }];
  }
  if (item.role === 'system') return [item];
  if (item.role === 'user') return [{ role: 'user', content: writeUserContent(item) }];
  const { content, calls } = item;
  if (calls.length === 0) return content === '' ? [] : [{ role: 'assistant', content }];
  const state = readState(item.state?.data);
  const reasoning = quirks.needsReasoning ? { reasoning_content: '' } : {};
  return [
    {
      role: 'assistant',
      content: content === '' ? null : content,
      ...reasoning,
      ...state.message,
      tool_calls: calls.map((call, index) => ({
        id: call.id,
        type: 'function' as const,
        function: { name: writeCallName(call.name), arguments: writeCallArguments(call.arguments) },
        ...writeExtra(state.calls?.[index] ?? null, state, quirks, index),
      })),
    },
  ];
}

/** A text alone is sent as such: not every server takes parts. */
function writeUserContent({ content, attached }: Extract<HistoryItem, { role: 'user' }>) {
  const images = listImageUrls(attached);
  if (images.length === 0) return content;
  return [
    { type: 'text' as const, text: content },
    ...images.map((url) => ({ type: 'image_url' as const, image_url: { url } })),
  ];
}

/** Gemini wants a signature with the first call of a step; calls beside it have none. */
function writeExtra(extra: Readonly<Record<string, unknown>> | null, state: ChatState, quirks: Quirks, index: number) {
  if (extra !== null) return extra;
  const isSigned = state.calls?.some((entry) => entry !== null) ?? false;
  return quirks.needsSignature && index === 0 && !isSigned ? { extra_content: noSignature } : {};
}

function readState(data: unknown): ChatState {
  if (!isRecord(data)) return { message: {}, calls: null };
  const { message, calls } = data;
  return {
    message: isRecord(message) ? message : {},
    calls: Array.isArray(calls) ? calls.map((entry: unknown) => (isRecord(entry) ? entry : null)) : null,
  };
}
