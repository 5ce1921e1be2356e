import { LRUCache } from 'lru-cache';
import { APIError } from 'openai';
import { raceAbort } from '../../engine/abort.ts';
import {
  type ModelEndpoint,
  ModelError,
  type ModelEvent,
  type ModelPort,
  type ModelRequest,
} from '../../engine/ports.ts';
import { boundUsage } from '../../engine/tokens.ts';
import { AddressGuard } from '../../outbound/address-guard.ts';
import { createDial } from '../../outbound/dial.ts';
import { ModelCallTelemetry } from '../../telemetry/model-call.ts';
import { type AnswerTimeouts, readAnswer } from './answer.ts';
import { findOtherBase, trimBase } from './base-url.ts';
import { ChatCompletionsReader } from './chat-completions.ts';
import { writeChatRequest } from './chat-request.ts';
import { ClientPool } from './clients.ts';
import { readErrorValue } from './error-body.ts';
import { failureOfRequest, unusableModelName } from './failures.ts';
import { writeOutputOptions } from './output-format.ts';
import { firstByteOption, reservedLlmOptions } from './presets.ts';
import { requestPath } from './request-url.ts';
import { ResponsesReader } from './responses.ts';
import { writeResponsesRequest } from './responses-request.ts';
import { isWrongPath } from './status.ts';
import { StepAccumulator } from './step.ts';
import { mayShareTrace } from './trace-sharing.ts';

export interface OpenAiModelOptions {
  /** Decides which addresses of users may be dialled; unset: none that is private. */
  readonly guard?: AddressGuard;
  /** Sends the requests instead of outbound/dial.ts. A ModelError that it throws reaches the caller as it is. */
  readonly fetch?: typeof fetch;
  /** How long the provider may be silent in the middle of an answer, in milliseconds. By default 120,000. */
  readonly timeoutMs?: number;
  /** How long the provider may take to begin, in milliseconds; by default `timeoutMs` if that is set, else 300,000. */
  readonly firstByteTimeoutMs?: number;
  /** The other times that an answer is waited for; for tests. */
  readonly timeouts?: Partial<AnswerTimeouts>;
  /** Retries by the openai client, before the answer begins. By default 0: the engine retries whole steps itself. */
  readonly maxRetries?: number;
}

const maxLearnedBases = 1_000;

/** Creates the model port over the openai package, for OpenAI and everything that speaks one of its two APIs. */
export function createOpenAiModel(options: OpenAiModelOptions = {}): ModelPort {
  const idleMs = options.timeoutMs ?? 120_000;
  const firstByteMs = options.firstByteTimeoutMs ?? options.timeoutMs ?? 300_000;
  const usual = { idleMs, firstByteMs, usageMs: 5_000, endMs: 1_000, moreTextMs: 30_000, ...options.timeouts };
  const guard = options.guard ?? new AddressGuard();
  const clients = new ClientPool({
    fetch: options.fetch ?? createDial(),
    guardedFetch: options.fetch ?? createDial({ guard }),
    timeoutMs: firstByteMs,
    maxRetries: options.maxRetries ?? 0,
  });
  /** Base URLs that turned out to work for an operation instead of what was configured: with /v1, or without. */
  const learnedBases = new LRUCache<string, string>({ max: maxLearnedBases });

  async function open(
    request: ModelRequest,
    { timeoutMs, headers, signal }: { timeoutMs: number; headers: Record<string, string>; signal: AbortSignal },
  ): Promise<Response> {
    const { endpoint } = request;
    const isResponses = endpoint.api === 'RESPONSES';
    const written = isResponses ? writeResponsesRequest(request) : writeChatRequest(request);
    const path = requestPath(endpoint);
    if (path === null) throw unusableModelName();
    const body = addOptions(written, writeOutputOptions(request));
    const query = { ...endpoint.query };
    const post = (apiUrl: string) => {
      const client = clients.get({ ...endpoint, apiUrl });
      const shared = mayShareTrace({ ...endpoint, apiUrl }, guard) ? headers : {};
      const sent = client
        .post(path, { body, query, headers: shared, stream: true, timeout: timeoutMs, signal })
        .asResponse();
      // Whether or not what dials listens to the signal.
      return raceAbort(sent, signal);
    };
    const base = trimBase(endpoint.apiUrl);
    const operation = `${base} ${path}`;
    const learned = learnedBases.get(operation);
    try {
      return await post(learned ?? base);
    } catch (error) {
      if (endpoint.path !== undefined || !isAtWrongPath(error)) throw error;
      if (learned !== undefined) {
        // A server that was set up anew may be where it was configured to be.
        learnedBases.delete(operation);
        return await post(base);
      }
      const other = findOtherBase(base);
      if (other === null) throw error;
      // If that fails as well, what was configured is what the message is about.
      const response = await post(other).catch(() => null);
      if (response === null) throw error;
      learnedBases.set(operation, other);
      return response;
    }
  }

  return {
    async *stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent, void, undefined> {
      signal.throwIfAborted();
      // A signal of its own: the client leaves listeners on the one that it is given, and a run has many steps.
      const call = new AbortController();
      const onAbort = () => call.abort(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      const { api, apiKey, options: own } = request.endpoint;
      const timeouts = { ...usual, firstByteMs: readFirstByteMs(own) ?? usual.firstByteMs };
      const observed = new ModelCallTelemetry({ purpose: 'turn', ...request.endpoint, ...request });
      try {
        const sending = { timeoutMs: timeouts.firstByteMs, headers: observed.headers, signal: call.signal };
        const response = await open(request, sending).catch((error: unknown) => {
          call.signal.throwIfAborted();
          throw failureOfRequest(error, apiKey, timeouts.firstByteMs / 1_000);
        });
        const accumulator = new StepAccumulator(
          request.history,
          request.endpoint.guarded ? (usage, length) => boundUsage(usage, request, length) : undefined,
        );
        const context = { apiKey, toolNames: request.tools.map(({ name }) => name) };
        const reader =
          api === 'RESPONSES'
            ? new ResponsesReader(accumulator, context)
            : new ChatCompletionsReader(accumulator, context);
        const answer = readAnswer({ response, reader, accumulator, apiKey, timeouts, signal: call.signal });
        yield* observed.watch(answer);
        observed.succeed();
      } catch (error) {
        if (!signal.aborted) observed.fail(error instanceof ModelError ? error.failure.code : 'INTERNAL');
        throw error;
      } finally {
        observed.end();
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}

function isAtWrongPath(error: unknown): boolean {
  if (!(error instanceof APIError) || typeof error.status !== 'number') return false;
  return isWrongPath(error.status, {
    ...readErrorValue(error.error ?? error.message),
    isReport: error.error !== undefined,
  });
}

/** How long an agent's provider may take to begin; null: the agent does not say. */
function readFirstByteMs(options: ModelEndpoint['options']): number | null {
  const seconds = options?.[firstByteOption];
  return typeof seconds === 'number' && seconds > 0 ? Math.min(seconds, 3_600) * 1_000 : null;
}

/** The body with an agent's options put over it; null takes a parameter out. */
function addOptions(body: object, options: ModelEndpoint['options']): object {
  const entries = Object.entries(options ?? {}).filter(
    ([name]) => !reservedLlmOptions.has(name) && name !== firstByteOption,
  );
  if (entries.length === 0) return body;
  const changed = { ...body, ...Object.fromEntries(entries) };
  return Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== null));
}
