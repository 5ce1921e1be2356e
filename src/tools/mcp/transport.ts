import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { FetchLike, Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Logger } from 'pino';
import { z } from 'zod';
import { boundBody, isEventStream } from './body.ts';
import { type McpAddress, type McpDefinition, maxAnswerBytes, maxListBytes } from './config.ts';
import { EventStreamTransport } from './event-stream-transport.ts';
import { AnswerRefusedError, refuseRedirect } from './failures.ts';
import { ProcessGroupTransport } from './process.ts';

/** The most bytes of a stream of events in all, notices included. */
const maxStreamBytes = 16 * 1024 * 1024;
/** How long an answer or a notice of ours may take to be taken. */
const sendTimeoutMs = 10_000;
/** Requests of a server whose answers it has not taken: who sends more only wants connections. */
const maxAnswers = 32;
/** Streams of notices and of answers that are taken up again, at once: the client needs one, and one for each such call. */
const maxStreams = 256;
/** A stream that is still open so long after its answer is closed by us: each is a connection. */
const lingerMs = 1_000;
/** How long after the end of a stream its answer may still be on its way through the client's own buffers. */
const lostAfterMs = 250;
/** A stream of notices that was there and cannot be had again so often: the server is gone. */
const maxFailures = 3;
const reconnection = {
  initialReconnectionDelay: 200,
  maxReconnectionDelay: 2_000,
  reconnectionDelayGrowFactor: 3,
  maxRetries: maxFailures,
} as const;

/** How long the end of a session may take to be taken. */
const readerGraceMs = 1_000;

/** How MCP servers are reached. */
export interface McpNetwork {
  readonly logger: Logger;
  /** For addresses that tenants wrote. */
  readonly fetchThroughGuard: typeof fetch;
  /** For the operator's. */
  readonly fetchUnguarded: typeof fetch;
}

/** How a server over HTTP is reached. */
interface HttpTransport {
  readonly transport: StreamableHTTPClientTransport;
  /** Called when the server is gone: the session is over, calls that are on their way may still be answered. */
  onLost: () => void;
}

/** The protocols of MCP over HTTP: streamable HTTP, and the HTTP with SSE that came before. */
export type HttpProtocol = 'streamable' | 'event-stream';

/**
 * The transport to a server, by its address. What a process says on its error output goes to the log, at debug.
 * @param protocol which one a server over HTTP speaks
 * @param onLost is called when a server over HTTP is gone, while calls that are on their way may still be answered
 */
export function createTransport(
  definition: McpDefinition,
  network: McpNetwork,
  protocol: HttpProtocol,
  onLost: () => void,
): Transport {
  const { address, name } = definition;
  const { logger, fetchThroughGuard, fetchUnguarded } = network;
  if (address.kind === 'stdio') {
    return new ProcessGroupTransport(address, maxAnswerBytes(definition), (chunk) => {
      if (!logger.isLevelEnabled('debug')) return;
      logger.debug({ mcpServer: name, said: Buffer.from(chunk).toString('utf8', 0, 2_000) }, 'an MCP server said');
    });
  }
  const dial = address.guarded ? fetchThroughGuard : fetchUnguarded;
  if (protocol === 'event-stream') return new EventStreamTransport(address, maxAnswerBytes(definition), dial);
  const http = createHttpTransport(address, maxAnswerBytes(definition), dial);
  http.onLost = onLost;
  return http.transport;
}

/**
 * The transport to a server over HTTP. Beside what the SDK does, answers and connections are bounded, redirects refused,
 * the connection of a request that is cancelled is closed, and a request whose stream breaks off is answered with an
 * error: the SDK would leave it waiting until it times out.
 */
function createHttpTransport(
  { url, headers }: Extract<McpAddress, { kind: 'http' }>,
  maxAnswerBytes: number,
  dial: typeof fetch,
): HttpTransport {
  let opened = false;
  let failures = 0;
  let streams = 0;
  let answers = 0;
  const cancels = new Map<string | number, AbortController>();
  /** Requests whose streams broke off and are to be taken up again. */
  const broken = new Set<string | number>();
  const watchedFetch: FetchLike = async (target, init) => {
    const notices = init?.method === 'GET';
    const sent = readSent(init?.body);
    const { id } = sent;
    if (sent.cancelled !== null) cancels.get(sent.cancelled)?.abort(new Error('The request was cancelled.'));
    // Calls are counted by whoever makes them: what the server itself sends and is sent takes no place of theirs.
    if (notices && streams >= maxStreams) {
      noteFailure(true);
      throw new AnswerRefusedError('The MCP server opens too many streams.');
    }
    if (sent.isAnswer && answers >= maxAnswers) {
      void transport.close();
      throw new AnswerRefusedError('The MCP server takes no answers.');
    }
    const cancel = new AbortController();
    if (id !== null) cancels.set(id, cancel);
    if (notices) streams += 1;
    if (sent.isAnswer) answers += 1;
    let over = false;
    const finish = () => {
      if (over) return;
      over = true;
      if (notices) streams -= 1;
      if (sent.isAnswer) answers -= 1;
      if (id !== null) cancels.delete(id);
    };
    const signals = [init?.signal, id === null ? null : cancel.signal];
    if (id === null && init?.method === 'POST') signals.push(AbortSignal.timeout(sendTimeoutMs));
    try {
      const signal = AbortSignal.any(signals.filter((one) => one != null));
      const response = await dial(target, { ...init, signal });
      await refuseRedirect(response);
      if (notices && response.ok) {
        opened = true;
        failures = 0;
      } else if (notices) noteFailure(response.status === 404 || response.status === 400);
      const answering = id !== null && response.ok && isEventStream(response);
      return boundBody(response, {
        maxBytes: sent.isList ? maxListBytes : maxAnswerBytes,
        maxStreamBytes,
        answers: answering ? { id, lose, cancelled: cancel.signal } : null,
        onOver: (tooLong) => {
          finish();
          // It would be taken up again at the same event.
          if (notices && tooLong) noteFailure(true);
        },
      });
    } catch (error) {
      finish();
      if (notices) noteFailure(false);
      throw error;
    }
  };
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: watchedFetch,
    requestInit: { headers: { ...headers } },
    reconnectionOptions: reconnection,
  });
  const http: HttpTransport = { transport, onLost: () => {} };
  // The client calls this before its own.
  transport.onmessage = (message) => {
    const cancel = 'id' in message && !('method' in message) && message.id !== undefined && cancels.get(message.id);
    if (cancel) setTimeout(() => cancel.abort(), lingerMs).unref();
  };

  // Servers without such a stream refuse it from the beginning, each in its own way: that is nothing.
  const noteFailure = (final: boolean) => {
    failures += 1;
    if (!opened || (!final && failures < maxFailures)) return;
    for (const id of broken) lose(id, false);
    broken.clear();
    http.onLost();
  };
  // A stream with ids is taken up again by the SDK, unless the session is lost as a whole.
  const lose = (id: string | number, resumable: boolean) => {
    if (resumable) return void broken.add(id);
    const error = { code: -32_000, message: 'The connection was lost.' };
    setTimeout(() => transport.onmessage?.({ jsonrpc: '2.0', id, error }), lostAfterMs).unref();
  };
  return http;
}

/** Closes a connection, and tells a server over HTTP that the session is over. */
export async function closeClient(client: Client): Promise<void> {
  const { transport } = client;
  if (transport instanceof StreamableHTTPClientTransport) {
    const ended = transport.terminateSession().catch(() => {});
    await Promise.race([ended, sleep(readerGraceMs, null, { ref: false })]);
  }
  await client.close().catch(() => {});
}

const id = z.union([z.string(), z.number()]);
const requestMessage = z.looseObject({ id, method: z.string() });
const cancellation = z.looseObject({
  method: z.literal('notifications/cancelled'),
  params: z.looseObject({ requestId: id }),
});
const answerMessage = z.looseObject({ id, method: z.undefined().optional() });

/** What a body that is sent holds: the id of a request, which request it cancels, whether it answers one. */
function readSent(body: unknown) {
  const message: unknown = typeof body === 'string' ? JSON.parse(body) : null;
  const request = requestMessage.safeParse(message).data;
  return {
    id: request?.id ?? null,
    /** Whether it asks for what a server is, or for what it has. */
    isList: request !== undefined && request.method !== 'tools/call',
    cancelled: cancellation.safeParse(message).data?.params.requestId ?? null,
    isAnswer: answerMessage.safeParse(message).success,
  };
}
