import type OpenAI from 'openai';
import { isRecord } from '../../engine/json.ts';
import type { HistoryItem, ModelRequest } from '../../engine/ports.ts';
import { isOpenAiHost } from '../../outbound/allowed-hosts.ts';
import { writeCallIds } from './call-ids.ts';
import { writeCallArguments, writeCallName, writeFunction } from './functions.ts';
import { dropBlanks, listImageUrls, normalizeHistory } from './normalize-history.ts';
import { findQuirks } from './quirks.ts';

/** The fewest output tokens that OpenAI accepts here. */
const minOutputTokens = 16;

/** What makes OpenAI send its reasoning along, encrypted: nothing is stored there, so it has to come back with the calls. */
const encryptedReasoning = 'reasoning.encrypted_content';

/** The body of a streamed response. Nothing is stored at the provider: the history is ours. */
export function writeResponsesRequest(request: ModelRequest): OpenAI.Responses.ResponseCreateParamsStreaming {
  const { endpoint, tools, maxTokens } = request;
  const isOpenAi = isOpenAiHost(endpoint.apiUrl);
  const quirks = findQuirks(endpoint);
  const { instructions, history } = quirks.isLenient
    ? { ...request, history: dropBlanks(request.history) }
    : normalizeHistory(request);
  return {
    model: endpoint.model,
    ...(instructions === '' ? {} : { instructions }),
    input: writeCallIds(history, quirks.callIds).flatMap(writeItems),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map((tool) => ({
            type: 'function',
            ...writeFunction(tool, endpoint),
            // Strict is the default here, and refuses most schemas that people write.
            strict: false,
          })),
        }),
    ...(quirks.encryptsReasoning ? { include: [encryptedReasoning] } : {}),
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    ...(maxTokens === null ? {} : { max_output_tokens: isOpenAi ? Math.max(maxTokens, minOutputTokens) : maxTokens }),
    store: false,
    stream: true,
    // Obfuscation pads every token; Azure's dated versions do not know it.
    ...(isOpenAi && endpoint.query?.['api-version'] === undefined
      ? { stream_options: { include_obfuscation: false } }
      : {}),
  };
}

function writeItems(item: HistoryItem): OpenAI.Responses.ResponseInputItem[] {
  if (item.role === 'tool') {
    return [{ type: 'function_call_output', call_id: item.callId, output: item.output }];
  }
  if (item.role === 'system') return [item];
  if (item.role === 'user') return [{ role: 'user', content: writeUserContent(item) }];
  const { content, calls, state } = item;
  return [
    // Before what they led to, as they came.
    ...(calls.length === 0 ? [] : readReasoningItems(state?.data)),
    ...(content === '' ? [] : [{ role: 'assistant', content } as const]),
    ...calls.map((call) => ({
      type: 'function_call' as const,
      call_id: call.id,
      name: writeCallName(call.name),
      arguments: writeCallArguments(call.arguments),
    })),
  ];
}

function writeUserContent({ content, attached }: Extract<HistoryItem, { role: 'user' }>) {
  const images = listImageUrls(attached);
  if (images.length === 0) return content;
  return [
    { type: 'input_text' as const, text: content },
    ...images.map((url) => ({ type: 'input_image' as const, image_url: url, detail: 'auto' as const })),
  ];
}

function readReasoningItems(data: unknown): OpenAI.Responses.ResponseReasoningItem[] {
  if (!isRecord(data) || !Array.isArray(data.reasoning)) return [];
  return data.reasoning.flatMap((item: unknown) => {
    if (!isRecord(item) || typeof item.encrypted_content !== 'string') return [];
    const id = typeof item.id === 'string' ? item.id : '';
    return [{ type: 'reasoning' as const, id, summary: [], encrypted_content: item.encrypted_content }];
  });
}
