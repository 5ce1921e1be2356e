import type { ModelEvent, ModelPort, ModelRequest } from '../engine/ports.ts';
import { readAnswer } from './answer.ts';
import { ChatCompletionsReader, writeChatRequest } from './chat-completions.ts';
import { ClientPool } from './clients.ts';
import { failureOfRequest } from './failures.ts';
import { ResponsesReader, writeResponsesRequest } from './responses.ts';
import { StepGatherer } from './step.ts';

export interface OpenAiModelOptions {
  /** How to dial, if not by dial.ts. A ModelError that it throws reaches the caller as it is. */
  readonly fetch?: typeof fetch;
  /** How long nothing may come: until the headers, and then from chunk to chunk. In milliseconds; 120,000 unless set. */
  readonly timeoutMs?: number;
  /** Retries by the openai client, before the answer begins. 0 unless set: the engine retries whole steps itself. */
  readonly maxRetries?: number;
}

/** Creates the model port over the openai package, for OpenAI and everything that speaks one of its two APIs. */
export function createOpenAiModel(options: OpenAiModelOptions = {}): ModelPort {
  const timeoutMs = options.timeoutMs ?? 120_000;
  const clients = new ClientPool({
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    timeoutMs,
    maxRetries: options.maxRetries ?? 0,
  });

  async function open(request: ModelRequest, signal: AbortSignal): Promise<Response> {
    const { endpoint } = request;
    try {
      const client = clients.get(endpoint);
      return endpoint.api === 'RESPONSES'
        ? await client.responses.create(writeResponsesRequest(request), { signal }).asResponse()
        : await client.chat.completions.create(writeChatRequest(request), { signal }).asResponse();
    } catch (error) {
      signal.throwIfAborted();
      throw failureOfRequest(error, endpoint.apiKey);
    }
  }

  return {
    async *stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent, void, undefined> {
      signal.throwIfAborted();
      // A signal of its own: the client leaves listeners on the one that it is given, and a run has many steps.
      const call = new AbortController();
      const onAbort = () => call.abort(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        const response = await open(request, call.signal);
        const gatherer = new StepGatherer(request.history);
        const { api, apiKey } = request.endpoint;
        const reader =
          api === 'RESPONSES' ? new ResponsesReader(gatherer, apiKey) : new ChatCompletionsReader(gatherer, apiKey);
        yield* readAnswer({ response, reader, gatherer, apiKey, timeoutMs, signal: call.signal });
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
