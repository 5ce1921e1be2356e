import { StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { readResponse } from '../../outbound/read-response.ts';
import { isEventStream } from './body.ts';
import type { McpAddress } from './config.ts';
import { EventFieldReader } from './event-fields.ts';
import { AnswerRefusedError, describeTooLong, refuseRedirect } from './failures.ts';
import { MessageLines } from './lines.ts';

/** How long the server may take to name the address for our messages. */
const endpointTimeoutMs = 5_000;
/** How long a message that expects no answer may take to be taken. */
const sendTimeoutMs = 10_000;
/** Answers of ours that the server has not taken: who asks more only wants connections. */
const maxAnswers = 32;
/** The most bytes that the server may send without answering anything that it was asked. */
const maxUnaskedBytes = 16 * 1024 * 1024;
const maxEndpointLength = 4_096;
/** How long after its answer the connection of a request may stay open. */
const lingerMs = 1_000;
const lineFeed = Buffer.from('\n');
/** The body of a refusal. */
const refusalBounds = { maxBytes: 65_536, timeoutMs: 5_000 } as const;

/**
 * The transport to a server that only speaks the HTTP with SSE of MCP 2024-11-05: one stream has all messages of the
 * server; its first event names the address to which ours are posted. The session lives as long as the stream.
 *
 * (The SDK's SSEClientTransport opens the stream again when it has ended, without initialising the session that it gets;
 * it keeps events of any length, follows redirects, and leaves out the status of a refusal.)
 */
export class EventStreamTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #dial: typeof fetch;
  readonly #lines: MessageLines;
  readonly #over = new AbortController();
  readonly #opening = Promise.withResolvers<URL>();
  #endpoint: URL | null = null;
  /** Requests whose answers have not come: the connection of a request is closed with its answer at the latest. */
  readonly #open = new Map<string | number, AbortController>();
  #answers = 0;
  #unaskedBytes = 0;

  /**
   * @param maxAnswerBytes the most bytes of the answer to a call
   * @param dial sends the requests; it follows no redirects
   */
  constructor({ url, headers }: Extract<McpAddress, { kind: 'http' }>, maxAnswerBytes: number, dial: typeof fetch) {
    this.#url = new URL(url);
    this.#headers = headers;
    this.#dial = dial;
    this.#lines = new MessageLines(maxAnswerBytes);
    // Nobody waits for it if the stream ends later.
    this.#opening.promise.catch(() => {});
  }

  /**
   * Opens the stream.
   * @throws {StreamableHTTPError} with the status if the response is no stream of events, and what dialling
   *   throws
   */
  async start(): Promise<void> {
    const timer = setTimeout(() => this.#end(new Error('The MCP server named no address.')), endpointTimeoutMs);
    try {
      const headers = { ...this.#headers, accept: 'text/event-stream' };
      const response = await this.#dial(this.#url, { headers, signal: this.#over.signal });
      await refuseRedirect(response);
      if (!response.ok || !isEventStream(response) || response.body === null) throw await readRefusal(response);
      void this.#read(response.body.getReader());
      this.#endpoint = await this.#opening.promise;
    } catch (error) {
      const { aborted, reason } = this.#over.signal;
      this.#end(error);
      throw aborted ? reason : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws {StreamableHTTPError} with the status if the server refuses the message, and what dialling throws */
  async send(message: JSONRPCMessage): Promise<void> {
    const url = this.#endpoint;
    if (url === null || this.#over.signal.aborted) throw new Error('The MCP server is not connected.');
    this.#lines.noteSent(message);
    if (!('method' in message)) return await this.#sendAnswer(url, message);
    if (!('id' in message)) {
      // Nobody waits for a request that is cancelled.
      if (message.method === 'notifications/cancelled') this.#endRequest(message.params?.requestId);
      return await this.#post(url, message, AbortSignal.timeout(sendTimeoutMs));
    }
    const request = new AbortController();
    this.#open.set(message.id, request);
    try {
      // Some servers take a request only when they have answered it: whoever asks knows how long that may take.
      await this.#post(url, message, request.signal);
    } catch (error) {
      this.#open.delete(message.id);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#end(new Error('The connection was closed.'));
  }

  async #sendAnswer(url: URL, message: JSONRPCMessage): Promise<void> {
    if (this.#answers >= maxAnswers) {
      const error = new AnswerRefusedError('The MCP server takes no answers.');
      this.#end(error);
      throw error;
    }
    this.#answers += 1;
    try {
      await this.#post(url, message, AbortSignal.timeout(sendTimeoutMs));
    } finally {
      this.#answers -= 1;
    }
  }

  async #post(url: URL, message: JSONRPCMessage, signal: AbortSignal): Promise<void> {
    const response = await this.#dial(url, {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body: JSON.stringify(message),
      signal: AbortSignal.any([signal, this.#over.signal]),
    });
    await refuseRedirect(response);
    if (!response.ok) throw await readRefusal(response);
    // It says nothing: the answer comes in the stream.
    await response.body?.cancel();
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const fields = new EventFieldReader({
      onData: (piece) => this.#lines.append(piece),
      onEnd: (name) => this.#readEvent(name),
    });
    try {
      while (!this.#over.signal.aborted) {
        const { done, value } = await reader.read();
        if (done) break;
        this.#unaskedBytes += value.length;
        if (this.#unaskedBytes > maxUnaskedBytes) throw new AnswerRefusedError(describeTooLong(maxUnaskedBytes));
        fields.push(value);
      }
      this.#end(new Error('The MCP server ended the stream.'));
    } catch (error) {
      this.#end(error);
    } finally {
      void reader.cancel().catch(() => {});
    }
  }

  #readEvent(name: string): void {
    if (name === 'endpoint') {
      const text = this.#lines.takeOpen().trim();
      const url = text.length <= maxEndpointLength ? URL.parse(text, this.#url) : null;
      // The headers are for one origin.
      if (url?.origin === this.#url.origin) this.#opening.resolve(url);
      else this.#end(new AnswerRefusedError('The MCP server names an address of another origin.'));
      return;
    }
    if (name !== '' && name !== 'message') return void this.#lines.takeOpen();
    this.#lines.append(lineFeed);
    try {
      const message = this.#lines.readMessage();
      if (message === null) return;
      if (!('method' in message) && this.#endRequest(message.id)) this.#unaskedBytes = 0;
      this.onmessage?.(message);
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error('The MCP server sent what is no message.'));
    }
  }

  /** @returns whether it was on its way */
  #endRequest(id: unknown): boolean {
    if (typeof id !== 'string' && typeof id !== 'number') return false;
    const request = this.#open.get(id);
    // Its own response is usually on its way as well: the connection is kept then.
    if (request) setTimeout(() => request.abort(), lingerMs).unref();
    return this.#open.delete(id);
  }

  /** Ends the session: whatever is on its way fails. */
  #end(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(error);
    this.#opening.reject(error);
    this.onclose?.();
  }
}

async function readRefusal(response: Response): Promise<StreamableHTTPError> {
  const { bytes } = await readResponse(response, refusalBounds);
  return new StreamableHTTPError(response.status, bytes.toString('utf8'));
}
