import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { frameChatCompletion, writeChatCompletion } from './chat-completions.ts';
import { answerEmbeddings } from './embeddings.ts';
import { createListener } from './listening.ts';
import { answerModeration } from './moderation.ts';
import { errorBody, type ModelAnswer, playAnswer, sendJson } from './playback.ts';
import { answerClientSecret, refuseCall } from './realtime.ts';
import { readPath } from './request-path.ts';
import { readRequest } from './requests.ts';
import { frameResponse, writeResponse } from './responses.ts';
import { speechRoutes } from './speech.ts';
import type { DemoApi, ReceivedRequest, ScriptedStep } from './steps.ts';
import { Ticker } from './ticker.ts';

const maxBodyBytes = 32 * 1024 * 1024;

const apis: Readonly<Record<string, DemoApi>> = {
  '/v1/chat/completions': 'CHAT_COMPLETIONS',
  '/v1/responses': 'RESPONSES',
};

export interface ModelServerOptions<Step extends ScriptedStep = ScriptedStep> {
  /**
   * Says what to answer. `n` counts the requests from 0. What it throws is answered with status 500.
   */
  readonly respond: (request: ReceivedRequest, n: number) => Step;
  /** Writes the answer; by default, at the pace of its step. */
  readonly play?: (answer: ModelAnswer<Step>) => Promise<void>;
  /** Answers POST /v1/moderations; by default, by words. */
  readonly moderate?: typeof answerModeration;
  /** Answers POST /v1/embeddings; by default, with vectors of the words of a text. */
  readonly embed?: typeof answerEmbeddings;
  /** Answers POST /v1/realtime/client_secrets; by default, with a secret that says that it is the demo's. */
  readonly mint?: typeof answerClientSecret;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** 127.0.0.1 unless said. */
  readonly host?: string;
  /** What GET /v1/models lists. */
  readonly models?: readonly string[];
}

export interface ModelServer {
  /** The base URL, ending in /v1. */
  readonly url: string;
  /** Closes it, with every stream that is open. */
  readonly close: () => Promise<void>;
}

/**
 * Starts an OpenAI-compatible server whose answers are scripted: POST /v1/chat/completions and POST /v1/responses,
 * streamed or not, and GET /v1/models. Beside these it moderates (POST /v1/moderations), embeds
 * (POST /v1/embeddings), mints secrets of realtime sessions
 * (POST /v1/realtime/client_secrets), and speaks and listens, POST /v1/audio/speech and /v1/audio/transcriptions, and a
 * WebSocket at /v1/audio/stream. It is strict where the real ones are: every tool call must have its output.
 * @throws when the port is taken
 */
export async function startModelServer<Step extends ScriptedStep>(
  options: ModelServerOptions<Step>,
): Promise<ModelServer> {
  const play = options.play ?? playAnswer;
  const host = options.host ?? '127.0.0.1';
  const ticker = new Ticker();
  const routes: typeof speechRoutes = {
    ...speechRoutes,
    '/v1/moderations': options.moderate ?? answerModeration,
    '/v1/embeddings': options.embed ?? answerEmbeddings,
    '/v1/realtime/client_secrets': options.mint ?? answerClientSecret,
    '/v1/realtime/calls': refuseCall,
  };
  const models = options.models ?? ['demo'];
  let count = 0;
  const server = createServer((incoming, response) => {
    response.on('error', () => {});
    answer(incoming, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else sendError(response, 500, describe(error));
    });
  });

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = readPath(incoming);
    if (incoming.method === 'GET' && path === '/v1/models') {
      const data = models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'switchboard' }));
      return sendJson(response, 200, { object: 'list', data });
    }
    const api = apis[path];
    const other = routes[path];
    if (api === undefined && other === undefined) return sendError(response, 404, `There is no ${path} here.`);
    if (incoming.method !== 'POST') return sendError(response, 405, 'Use POST.');
    const sent = await readBody(incoming);
    if (sent === undefined) return sendError(response, 413, `The body has more than ${maxBodyBytes} bytes.`);
    if (api === undefined) return await other?.(sent, incoming, response);
    const left = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) left.abort();
    });
    let request: ReceivedRequest;
    try {
      request = readRequest(api, JSON.parse(sent.toString('utf8')), {
        headers: incoming.headers,
        signal: left.signal,
      });
    } catch (error) {
      return sendError(response, 400, describe(error));
    }
    const n = count++;
    const step = options.respond(request, n);
    const id = `demo${n}`;
    const chat = api === 'CHAT_COMPLETIONS';
    const frames = chat ? frameChatCompletion(step, request, id) : frameResponse(step, request, id);
    const body = () => (chat ? writeChatCompletion(step, request, id) : writeResponse(step, request, id));
    await play({ response, request, step, frames, body, ticker });
  }

  const listener = createListener();
  server.on('upgrade', listener.upgrade);
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(options.port ?? 0, host, listening.resolve);
  await listening.promise;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The model server listens on no port.');
  // Longer than the clients' own, so that no request meets a socket that is being closed.
  server.keepAliveTimeout = 60_000;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}/v1`,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      listener.close();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

/** The body, or undefined when it is longer than this server reads. */
async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxBodyBytes) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, errorBody(status, message));
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
