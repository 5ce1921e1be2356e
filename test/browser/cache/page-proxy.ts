import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { getOperationAST, parse } from 'graphql';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { createGate, type Gate } from '../../support/scripted-model/gate.ts';

/** An operation that a page has sent. */
interface SentOperation {
  readonly kind: 'query' | 'mutation' | 'subscription';
  /** The root field. */
  readonly field: string;
}

/** What stands between the page and the server: it serves the page, sees all operations, and can cut the network. */
export interface PageProxy extends AsyncDisposable {
  /** The origin of the page. `/graphql` is passed on to the server. */
  readonly origin: string;
  /** The operations that were sent since the last call. */
  takeOperations(): SentOperation[];
  /**
   * Cuts the page's socket in the place of an event.
   * @param count how many events pass before, of all subscriptions
   * @returns whether it was cut, so far
   */
  cutAfter(count: number): () => boolean;
  /** Cuts all connections and refuses new ones until `goOnline`. */
  goOffline(): void;
  goOnline(): void;
  /** Holds the next answer over HTTP: it is the server's of that moment, and the page gets it when the gate is opened. */
  holdAnswer(): Gate;
}

const payload = z.object({ query: z.string() });
const message = z.object({ type: z.string(), payload: z.unknown() });

/**
 * @param serve answers the requests that are not for the server
 * @param target the origin of the server
 */
export async function openPageProxy(
  serve: (request: IncomingMessage, response: ServerResponse) => void,
  target: string,
): Promise<PageProxy> {
  let operations: SentOperation[] = [];
  let isOffline = false;
  let cut: { left: number; done: boolean } | null = null;
  const pages = new Set<WebSocket>();
  let gate: Gate | null = null;

  const record = (sent: unknown) => {
    const read = payload.safeParse(sent);
    const operation = read.success ? getOperationAST(parse(read.data.query)) : null;
    const [root] = operation?.selectionSet.selections ?? [];
    if (operation && root?.kind === 'Field') operations.push({ kind: operation.operation, field: root.name.value });
  };

  const http = createServer((request, response) => {
    if (!request.url?.startsWith('/graphql')) return serve(request, response);
    if (isOffline) return void request.socket.destroy();
    passOn(request, response).catch(() => request.socket.destroy());
    return undefined;
  });

  async function passOn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    record(parseJson(body.toString()));
    const headers = { 'content-type': 'application/json', authorization: request.headers.authorization ?? '' };
    const answer = await fetch(`${target}/graphql`, { method: 'POST', headers, body });
    const text = await answer.text();
    const held = gate;
    gate = null;
    held?.arrive();
    await held?.opened;
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(text);
  }

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'graphql-transport-ws' });
  http.on('upgrade', (request, socket, head) => {
    if (isOffline) return void socket.destroy();
    sockets.handleUpgrade(request, socket, head, join);
    return undefined;
  });

  function join(page: WebSocket): void {
    const server = new WebSocket(`${target.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const opened = once(server, 'open').catch(() => page.terminate());
    pages.add(page);
    page.on('message', async (data) => {
      const read = message.safeParse(parseJson(textOf(data)));
      if (read.success && read.data.type === 'subscribe') record(read.data.payload);
      await opened;
      if (server.readyState === WebSocket.OPEN) server.send(textOf(data));
    });
    server.on('message', (data) => {
      const text = textOf(data);
      const isEvent = message.safeParse(parseJson(text)).data?.type === 'next';
      if (isEvent && cut && !cut.done && cut.left-- === 0) {
        cut.done = true;
        // Destroyed at once: what the server sends after it is lost as well.
        for (const each of pages) each.terminate();
      }
      if (page.readyState === WebSocket.OPEN) page.send(text);
    });
    const end = () => {
      pages.delete(page);
      page.terminate();
      server.terminate();
    };
    for (const socket of [page, server]) socket.on('error', end).on('close', end);
  }

  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    takeOperations() {
      const taken = operations;
      operations = [];
      return taken;
    },
    cutAfter(count) {
      const next = { left: count, done: false };
      cut = next;
      return () => next.done;
    },
    goOffline() {
      isOffline = true;
      for (const page of pages) page.terminate();
    },
    goOnline() {
      isOffline = false;
    },
    holdAnswer() {
      gate = createGate();
      return gate;
    },
    async [Symbol.asyncDispose]() {
      for (const page of pages) page.terminate();
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

function textOf(data: RawData): string {
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data as Buffer).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
