import { createHash } from 'node:crypto';
import OpenAI from 'openai';
import type { ModelEndpoint } from '../engine/ports.ts';
import { createDial } from './dial.ts';

/** Clients that are kept. Each is some objects and no socket: they share one dial. */
const maxClients = 100;

/** Characters of an error body that are read: it only serves the log. */
const maxErrorBytes = 64 * 1024;
const maxErrorWaitMs = 5_000;

/** What a provider needs to be told. The client would add a fingerprint and whatever OPENAI_CUSTOM_HEADERS says. */
const sentHeaders = ['accept', 'authorization', 'content-type', 'user-agent'];

export interface ClientOptions {
  /** How to dial, if not by dial.ts: a guard against private addresses goes in here. Redirects are never followed. */
  readonly fetch?: typeof fetch;
  /** Until the headers of the answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/** A pool of openai clients: one for each base URL and key, the least recently used dropped. */
export class ClientPool {
  readonly #clients = new Map<string, OpenAI>();
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#fetch = boundFetch(options.fetch ?? createDial());
  }

  /** @throws {TypeError} when the key cannot be sent */
  get({ apiUrl, apiKey }: ModelEndpoint): OpenAI {
    const name = `${createHash('sha256').update(apiKey).digest('base64')} ${apiUrl}`;
    const known = this.#clients.get(name);
    const client = known ?? this.#create(apiUrl, apiKey);
    this.#clients.delete(name);
    this.#clients.set(name, client);
    const [oldest] = this.#clients.keys();
    if (this.#clients.size > maxClients && oldest !== undefined) this.#clients.delete(oldest);
    return client;
  }

  #create(baseURL: string, apiKey: string): OpenAI {
    const { timeoutMs, maxRetries } = this.#options;
    return new OpenAI({
      baseURL,
      // Ollama and others want no key, but the client insists on one.
      apiKey: apiKey === '' ? 'none' : apiKey,
      ...(apiKey === '' ? { defaultHeaders: { authorization: null } } : {}),
      // Null, not absent: absent means that the client takes the operator's own from the environment.
      organization: null,
      project: null,
      adminAPIKey: null,
      webhookSecret: null,
      fetch: this.#fetch,
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
    const text = await readSome(response);
    const kept = new Headers();
    for (const name of ['content-type', 'retry-after', 'retry-after-ms', 'x-should-retry']) {
      const value = response.headers.get(name);
      if (value !== null) kept.set(name, value);
    }
    return new Response(response.status === 304 ? null : text, { status: response.status, headers: kept });
  };
}

/** The beginning of a body, as far as it comes soon: the client itself would wait for its end for ever. */
async function readSome(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), maxErrorWaitMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (length < maxErrorBytes) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      length += value.length;
    }
  } catch {
    // The status says enough.
  } finally {
    clearTimeout(timer);
    void reader.cancel().catch(() => {});
  }
  return Buffer.concat(chunks).toString('utf8', 0, maxErrorBytes);
}
