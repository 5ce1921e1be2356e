import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import OpenAI from 'openai';
import { parseJson } from '../../engine/json.ts';
import type { ModelEndpoint } from '../../engine/ports.ts';
import { readResponse } from '../../outbound/read-response.ts';

/** How many clients the pool holds. Each is a few objects and no socket: all use the connections of outbound/dial.ts. */
const maxClients = 100;

/** Bytes that are read of an error's body: it is only used to find out what went wrong. */
const maxErrorBytes = 64 * 1024;
const maxErrorWaitMs = 5_000;

/** The headers that are sent. The client would add a fingerprint of this machine and those of OPENAI_CUSTOM_HEADERS. */
const sentHeaders = ['accept', 'api-key', 'authorization', 'content-type', 'traceparent', 'user-agent', 'x-request-id'];

export interface ClientOptions {
  /** Sends requests to the operator's own addresses. Redirects are never followed. */
  readonly fetch: typeof fetch;
  /** Sends requests to addresses that users wrote. */
  readonly guardedFetch: typeof fetch;
  /** How long to wait for the headers of the response, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/**
 * A pool of openai clients: one for each base URL and key; the least recently used one is dropped. Connections belong to
 * outbound/dial.ts, which keeps them by host and closes them when they are idle.
 */
export class ClientPool {
  readonly #clients = new LRUCache<string, OpenAI>({ max: maxClients });
  readonly #options: ClientOptions;

  constructor({ fetch, guardedFetch, ...options }: ClientOptions) {
    this.#options = { ...options, fetch: limitFetch(fetch), guardedFetch: limitFetch(guardedFetch) };
  }

  /** How many clients it holds. */
  get size(): number {
    return this.#clients.size;
  }

  /**
   * The client for an endpoint.
   * @throws {TypeError} when the key cannot be sent in a header
   */
  get(endpoint: ModelEndpoint): OpenAI {
    const { apiUrl, apiKey, keyStyle = 'bearer', guarded = false } = endpoint;
    const hashed = createHash('sha256').update(apiKey).digest('base64');
    const name = JSON.stringify([apiUrl, hashed, keyStyle, guarded]);
    const client = this.#clients.get(name) ?? this.#create(endpoint);
    this.#clients.set(name, client);
    return client;
  }

  #create({ apiUrl: baseURL, apiKey, keyStyle, guarded }: ModelEndpoint): OpenAI {
    const { timeoutMs, maxRetries, fetch, guardedFetch } = this.#options;
    // Null removes a header that the client would send by itself.
    const byName = keyStyle === 'api-key' && apiKey !== '' ? { 'api-key': apiKey, authorization: null } : null;
    const defaultHeaders = apiKey === '' ? { authorization: null } : byName;
    return new OpenAI({
      baseURL,
      // Ollama and others need no key, but the client requires one.
      apiKey: apiKey === '' ? 'none' : apiKey,
      ...(defaultHeaders ? { defaultHeaders } : {}),
      // Null, not absent: if it is absent, the client takes the operator's own from the environment.
      organization: null,
      project: null,
      adminAPIKey: null,
      webhookSecret: null,
      fetch: guarded ? guardedFetch : fetch,
      fetchOptions: { redirect: 'manual' },
      timeout: timeoutMs,
      maxRetries,
      logLevel: 'off',
    });
  }
}

/** A fetch that sends only the headers that are needed, and limits what is read of an error. */
function limitFetch(dial: typeof fetch): typeof fetch {
  return async (input, init) => {
    const given = new Headers(init?.headers);
    const headers = new Headers();
    for (const name of sentHeaders) {
      const value = given.get(name);
      if (value !== null) headers.set(name, value);
    }
    const response = await dial(input, { ...init, headers });
    if (response.ok) return response;
    // The client itself would wait for the end of the body without a limit.
    const { bytes } = await readResponse(response, { maxBytes: maxErrorBytes, timeoutMs: maxErrorWaitMs });
    const kept = new Headers();
    for (const name of ['content-type', 'retry-after', 'retry-after-ms', 'x-should-retry']) {
      const value = response.headers.get(name);
      if (value !== null) kept.set(name, value);
    }
    const text = bytes.toString('utf8');
    // The client only looks at `error`, and providers report errors in other forms as well (error-body.ts).
    const report = parseJson(text);
    const body = report === undefined ? text : JSON.stringify({ error: report });
    return new Response(response.status === 304 ? null : body, {
      status: response.status,
      headers: kept,
    });
  };
}
