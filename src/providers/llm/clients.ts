import { createHash } from 'node:crypto';
import OpenAI from 'openai';
import type { ModelEndpoint } from '../../engine/ports.ts';
import { readResponse } from '../../outbound/read-response.ts';

/** Clients that are kept. Each is some objects and no socket: they share one dial. */
const maxClients = 100;

/** Bytes of an error body that are read: it only serves the log. */
const maxErrorBytes = 64 * 1024;
const maxErrorWaitMs = 5_000;

/** What a provider needs to be told. The client would add a fingerprint and whatever OPENAI_CUSTOM_HEADERS says. */
const sentHeaders = ['accept', 'api-key', 'authorization', 'content-type', 'user-agent'];

export interface ClientOptions {
  /** How to dial the operator's own addresses. Redirects are never followed. */
  readonly fetch: typeof fetch;
  /** How to dial those that users wrote. */
  readonly guardedFetch: typeof fetch;
  /** Until the headers of the answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/**
 * A pool of openai clients: one for each base URL and key, the least recently used dropped. Their connections are kept
 * by the two dials, by host, and end by themselves when they are idle (dial.ts).
 */
export class ClientPool {
  readonly #clients = new Map<string, OpenAI>();
  readonly #options: ClientOptions;

  constructor({ fetch, guardedFetch, ...options }: ClientOptions) {
    this.#options = { ...options, fetch: boundFetch(fetch), guardedFetch: boundFetch(guardedFetch) };
  }

  /** How many there are. */
  get size(): number {
    return this.#clients.size;
  }

  /** @throws {TypeError} when the key cannot be sent */
  get(endpoint: ModelEndpoint): OpenAI {
    const { apiUrl, apiKey, keyStyle = 'bearer', guarded = false } = endpoint;
    const hashed = createHash('sha256').update(apiKey).digest('base64');
    const name = JSON.stringify([apiUrl, hashed, keyStyle, guarded]);
    const client = this.#clients.get(name) ?? this.#create(endpoint);
    this.#clients.delete(name);
    this.#clients.set(name, client);
    const [oldest] = this.#clients.keys();
    if (this.#clients.size > maxClients && oldest !== undefined) this.#clients.delete(oldest);
    return client;
  }

  #create({ apiUrl: baseURL, apiKey, keyStyle, guarded }: ModelEndpoint): OpenAI {
    const { timeoutMs, maxRetries, fetch, guardedFetch } = this.#options;
    // Null takes out what the client would send by itself.
    const byName = keyStyle === 'api-key' && apiKey !== '' ? { 'api-key': apiKey, authorization: null } : null;
    const defaultHeaders = apiKey === '' ? { authorization: null } : byName;
    return new OpenAI({
      baseURL,
      // Ollama and others want no key, but the client insists on one.
      apiKey: apiKey === '' ? 'none' : apiKey,
      ...(defaultHeaders ? { defaultHeaders } : {}),
      // Null, not absent: absent means that the client takes the operator's own from the environment.
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

/** A fetch that sends no more headers than needed, and bounds what is read of an error. */
function boundFetch(dial: typeof fetch): typeof fetch {
  return async (input, init) => {
    const given = new Headers(init?.headers);
    const headers = new Headers();
    for (const name of sentHeaders) {
      const value = given.get(name);
      if (value !== null) headers.set(name, value);
    }
    const response = await dial(input, { ...init, headers });
    if (response.ok) return response;
    // The client itself would wait for the body's end for ever.
    const { bytes } = await readResponse(response, { maxBytes: maxErrorBytes, timeoutMs: maxErrorWaitMs });
    const kept = new Headers();
    for (const name of ['content-type', 'retry-after', 'retry-after-ms', 'x-should-retry']) {
      const value = response.headers.get(name);
      if (value !== null) kept.set(name, value);
    }
    return new Response(response.status === 304 ? null : bytes.toString('utf8'), {
      status: response.status,
      headers: kept,
    });
  };
}
