import { raceAbort } from '../../engine/abort.ts';
import type { ModelEndpoint, ModelEvent, ModelPort, ModelRequest } from '../../engine/ports.ts';
import { createDial } from '../../outbound/dial.ts';
import { AddressGuard } from '../../outbound/guard.ts';
import { readAnswer } from './answer.ts';
import { putModelInPath } from './azure.ts';
import { ChatCompletionsReader, writeChatRequest } from './chat-completions.ts';
import { ClientPool } from './clients.ts';
import { failureOfRequest, unusableModelName } from './failures.ts';
import { reservedLlmOptions } from './presets.ts';
import { ResponsesReader, writeResponsesRequest } from './responses.ts';
import { StepAccumulator } from './step.ts';

export interface OpenAiModelOptions {
  /** Which addresses of users may be dialled. By default, no private ones. */
  readonly guard?: AddressGuard;
  /** How to dial all addresses, if not by dial.ts. A ModelError that it throws reaches the caller as it is. */
  readonly fetch?: typeof fetch;
  /** How long nothing may come: until the headers, and then from chunk to chunk. In milliseconds; by default 120,000. */
  readonly timeoutMs?: number;
  /** Retries by the openai client, before the answer begins. By default 0: the engine retries whole steps itself. */
  readonly maxRetries?: number;
}

/** Creates the model port over the openai package, for OpenAI and everything that speaks one of its two APIs. */
export function createOpenAiModel(options: OpenAiModelOptions = {}): ModelPort {
  const timeoutMs = options.timeoutMs ?? 120_000;
  const clients = new ClientPool({
    fetch: options.fetch ?? createDial(),
    guardedFetch: options.fetch ?? createDial({ guard: options.guard ?? new AddressGuard() }),
    timeoutMs,
    maxRetries: options.maxRetries ?? 0,
  });

  async function open(request: ModelRequest, signal: AbortSignal): Promise<Response> {
    const { endpoint } = request;
    try {
      const client = clients.get(endpoint);
      const responses = endpoint.api === 'RESPONSES';
      const written = responses ? writeResponsesRequest(request) : writeChatRequest(request);
      const usual = responses ? '/responses' : '/chat/completions';
      const path = putModelInPath(endpoint.path ?? usual, endpoint.model);
      if (path === null) throw unusableModelName();
      const body = addOptions(written, endpoint.options);
      const query = { ...endpoint.query };
      // Whether or not what dials listens to the signal.
      return await raceAbort(client.post(path, { body, query, stream: true, signal }).asResponse(), signal);
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
        const gatherer = new StepAccumulator(request.history);
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

/** The body with what an agent's options put over it; null takes a parameter out. */
function addOptions(body: object, options: ModelEndpoint['options']): object {
  const given = Object.entries(options ?? {}).filter(([name]) => !reservedLlmOptions.has(name));
  if (given.length === 0) return body;
  const changed = { ...body, ...Object.fromEntries(given) };
  return Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== null));
}
