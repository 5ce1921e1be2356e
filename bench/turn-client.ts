import { once } from 'node:events';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { type Ask, writeAsk } from './answer.ts';
import { type Frame, type SeenTurn, TurnWatch } from './turn-watch.ts';

/** Where a turn is asked for, and as whom. */
export const slot = z.strictObject({
  /** `sse`: the route of agents-sdk.ts, over SseClient. */
  protocol: z.enum(['graphql', 'plain', 'sse']),
  url: z.string(),
  token: z.string(),
  conversationId: z.string(),
});
export type Slot = z.infer<typeof slot>;

const document = /* GraphQL */ `subscription Turn($input: ChatTurnInput!) {
  chatTurn(input: $input) {
    __typename
    seq
    ... on TextDelta { messageId offset delta }
    ... on RunFailed { error { code message } }
  }
}`;

const patienceMs = 120_000;

/** A client on a socket of its own that asks for one turn and checks every token of it. */
export class TurnClient {
  readonly #slot: Slot;
  readonly #socket: WebSocket;

  private constructor(slot: Slot, socket: WebSocket) {
    this.#slot = slot;
    this.#socket = socket;
  }

  /** Opens the socket, and waits until it may be used. */
  static async connect(slot: Slot, from: { readonly localAddress?: string } = {}): Promise<TurnClient> {
    const graphql = slot.protocol === 'graphql';
    const socket = new WebSocket(slot.url, graphql ? 'graphql-transport-ws' : [], {
      perMessageDeflate: false,
      ...from,
    });
    await once(socket, 'open');
    if (graphql) {
      const acknowledged = once(socket, 'message');
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${slot.token}` } }));
      await acknowledged;
    }
    return new TurnClient(slot, socket);
  }

  close(): void {
    this.#socket.terminate();
  }

  /**
   * Runs a turn from asking to the end.
   * @throws when a token is lost, doubled or out of order, when there is no end, or an error instead
   */
  run(asked: Ask): Promise<SeenTurn> {
    return new Promise((resolve, reject) => {
      const watch = new TurnWatch(asked);
      const timer = setTimeout(
        () => settle(new Error(`No end after ${patienceMs} ms. ${watch.describe()}`)),
        patienceMs,
      );
      const settle = (result: SeenTurn | Error) => {
        clearTimeout(timer);
        this.#socket.removeAllListeners();
        this.#socket.on('error', () => {});
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
      this.#socket.on('message', (data) => {
        try {
          const message: unknown = JSON.parse(String(data));
          const end = this.#slot.protocol === 'plain' ? watch.see(frameOf(message)) : this.#readMessage(message, watch);
          if (end) settle(watch.finish());
        } catch (error) {
          settle(error instanceof Error ? error : new Error(String(error)));
        }
      });
      this.#socket.on('close', (code) => settle(new Error(`The socket closed (${code}). ${watch.describe()}`)));
      this.#socket.on('error', settle);
      this.#socket.send(this.#request(asked));
    });
  }

  #request(asked: Ask): string {
    const content = writeAsk(asked);
    if (this.#slot.protocol === 'plain') return content;
    const input = { conversationId: this.#slot.conversationId, content, idempotencyKey: crypto.randomUUID() };
    return JSON.stringify({ id: '1', type: 'subscribe', payload: { query: document, variables: { input } } });
  }

  #readMessage(message: unknown, watch: TurnWatch): boolean {
    const { type, payload } = messageOf(message);
    if (type === 'ping') this.#socket.send('{"type":"pong"}');
    if (type === 'error' || payload?.errors) throw new Error(`Errors: ${JSON.stringify(message)}`);
    if (type === 'next') watch.see(frameOf(payload?.data?.chatTurn));
    return type === 'complete';
  }
}

// Unchecked shapes, because a schema for each token would cost the client more than the server; what is in them is
// compared with what is expected, value by value, in TurnWatch.
function messageOf(message: unknown) {
  return z.custom<{ type: string; payload?: { errors?: unknown; data?: { chatTurn?: unknown } } }>().parse(message);
}

const anyFrame = z.custom<Frame>((value) => typeof value === 'object' && value !== null);
function frameOf(value: unknown): Frame {
  return anyFrame.parse(value);
}
