import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { FetchLike } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { McpAddress } from './mcp-config.ts';
import { AnswerRefusedError } from './mcp-failures.ts';
import { MessageLines } from './mcp-lines.ts';

/** The most bytes of one answer over HTTP. */
const maxAnswerBytes = 16 * 1024 * 1024;
/** How long an answer or a notice of ours may take to be taken. */
const sendTimeoutMs = 10_000;
/** Requests of a server whose answers it has not taken: who sends more only wants connections. */
const mostAnswers = 32;
/** Requests on their way at once, in all; each has a connection. */
const mostOpen = 256;
/** How long after the end of a stream its answer may still be on its way through the client's own buffers. */
const lostAfterMs = 250;
/** A stream of notices that was there and cannot be had again so often: the server is gone. */
const mostFailures = 3;
const reconnection = {
  initialReconnectionDelay: 200,
  maxReconnectionDelay: 2_000,
  reconnectionDelayGrowFactor: 3,
  maxRetries: mostFailures,
} as const;

/** How long the end of a session may take to be taken. */
const farewellMs = 1_000;
const tooLong = 'The answer of the MCP server was too long.';

/** How a server over HTTP is reached. */
export interface HttpTransport {
  readonly transport: StreamableHTTPClientTransport;
  /** Called when the server is gone: the session is over, calls that are on their way may still be answered. */
  onLost: () => void;
}

/** The transport to a process that is started. What it says on its error output goes to the log, at debug. */
export function createStdioTransport(
  { command, args, env, cwd }: Extract<McpAddress, { kind: 'stdio' }>,
  name: string,
  logger: Logger,
): StdioClientTransport {
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: { ...env },
    ...(cwd === null ? {} : { cwd }),
    stderr: 'pipe',
  });
  // The SDK's own ends the process over a line that is too long, and copies what it has with each piece that comes.
  Object.assign(transport, { _readBuffer: new MessageLines() });
  transport.stderr?.on('data', (chunk: Uint8Array) => {
    if (logger.isLevelEnabled('debug')) {
      logger.debug({ mcpServer: name, said: Buffer.from(chunk).toString('utf8', 0, 2_000) }, 'an MCP server said');
    }
  });
  // Whoever closes it while it is being closed waits until the process has ended as well.
  const close = transport.close.bind(transport);
  let closing: Promise<void> | null = null;
  transport.close = () => {
    closing ??= close();
    return closing;
  };
  return transport;
}

/**
 * The transport to a server over HTTP. Beside what the SDK does, answers and connections are bounded, redirects refused,
 * the connection of a request that is cancelled is closed, and a request whose stream breaks off is answered with an
 * error: the SDK would leave it waiting until it times out.
 */
export function createHttpTransport(
  { url, headers }: Extract<McpAddress, { kind: 'http' }>,
  dial: typeof fetch,
): HttpTransport {
  let opened = false;
  let failures = 0;
  let open = 0;
  let answers = 0;
  const cancels = new Map<string | number, AbortController>();
  /** Requests whose streams broke off and are to be taken up again. */
  const broken = new Set<string | number>();
  const watchedFetch: FetchLike = async (target, init) => {
    const notices = init?.method === 'GET';
    const sent = readMessage(init?.body);
    const { id } = sent;
    if (sent.cancelled !== null) cancels.get(sent.cancelled)?.abort(new Error('The request was cancelled.'));
    if (open >= mostOpen || (sent.isAnswer && answers >= mostAnswers)) {
      if (notices || sent.isAnswer) void transport.close();
      throw new AnswerRefusedError('Too much is on its way.');
    }
    const cancel = new AbortController();
    if (id !== null) cancels.set(id, cancel);
    open += 1;
    if (sent.isAnswer) answers += 1;
    let over = false;
    const finish = () => {
      if (over) return;
      over = true;
      open -= 1;
      if (sent.isAnswer) answers -= 1;
      if (id !== null) cancels.delete(id);
    };
    const signals = [init?.signal, id === null ? null : cancel.signal];
    if (id === null && init?.method === 'POST') signals.push(AbortSignal.timeout(sendTimeoutMs));
    try {
      const signal = AbortSignal.any(signals.filter((one) => one != null));
      const response = await dial(target, { ...init, signal });
      if (response.status >= 300 && response.status < 400) {
        await response.body?.cancel();
        throw new AnswerRefusedError('A redirect was not followed.');
      }
      if (notices && response.ok) {
        opened = true;
        failures = 0;
      } else if (notices) noteFailure(response.status === 404 || response.status === 400);
      const streamed = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
      const stream = id !== null && response.ok && streamed ? { id, lose, cancelled: cancel.signal } : null;
      if (response.body === null) finish();
      return bound(response, stream, finish);
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

  // Servers without such a stream refuse it from the beginning, each in its own way: that is nothing.
  const noteFailure = (final: boolean) => {
    failures += 1;
    if (!opened || (!final && failures < mostFailures)) return;
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

const id = z.union([z.string(), z.number()]);
/** Closes a connection, and tells a server over HTTP that the session is over. */
export async function closeClient(client: Client): Promise<void> {
  const { transport } = client;
  if (transport instanceof StreamableHTTPClientTransport) {
    const ended = transport.terminateSession().catch(() => {});
    await Promise.race([ended, sleep(farewellMs, null, { ref: false })]);
  }
  await client.close().catch(() => {});
}

const requestMessage = z.looseObject({ id, method: z.string() });
const cancellation = z.looseObject({
  method: z.literal('notifications/cancelled'),
  params: z.looseObject({ requestId: id }),
});
const answerMessage = z.looseObject({ id, method: z.undefined().optional() });

/** What a body that is sent holds: the id of a request, which request it cancels, whether it answers one. */
function readMessage(body: unknown) {
  const message: unknown = typeof body === 'string' ? JSON.parse(body) : null;
  return {
    id: requestMessage.safeParse(message).data?.id ?? null,
    cancelled: cancellation.safeParse(message).data?.params.requestId ?? null,
    isAnswer: answerMessage.safeParse(message).success,
  };
}

/** A stream that answers a request. */
interface AnswerStream {
  readonly id: string | number;
  readonly cancelled: AbortSignal;
  /** Is told when it has ended, however it did, and whether an event in it had an id. */
  readonly lose: (id: string | number, resumable: boolean) => void;
}

/**
 * The response with a body that fails when it is too long.
 * @param stream null: it is no stream that answers a request
 * @param onOver is told when nothing more is read of it
 */
function bound(response: Response, stream: AnswerStream | null, onOver: () => void): Response {
  if (response.body === null) return response;
  const reader = response.body.getReader();
  let bytes = 0;
  let resumable = false;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) {
            onOver();
            stream?.lose(stream.id, resumable);
            return controller.close();
          }
          bytes += value.length;
          resumable ||= /^id:/m.test(Buffer.from(value).toString('latin1', 0, 256));
          if (bytes <= maxAnswerBytes) return controller.enqueue(value);
          throw new AnswerRefusedError(tooLong);
        } catch (error) {
          void reader.cancel().catch(() => {});
          onOver();
          // It is not to be taken up again: the SDK does so unless there was a result.
          if (stream && (error instanceof AnswerRefusedError || stream.cancelled.aborted)) {
            controller.enqueue(endStream(stream.id));
            return controller.close();
          }
          stream?.lose(stream.id, resumable);
          controller.error(error);
        }
      },
      cancel: (reason) => {
        onOver();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  const { status, headers } = response;
  return new Response(body, { status, headers });
}

/** The last event of a stream that is given up. Where nobody waits for it any more, it is passed over. */
function endStream(id: string | number): Uint8Array {
  const result = { isError: true, content: [{ type: 'text', text: tooLong }] };
  return Buffer.from(`\n\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
}
