import { once } from 'node:events';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { type Answer, type Ask, writeAnswer, writeAsk } from './answer.ts';

/** Where a turn is asked for, and as whom. */
export const slot = z.strictObject({
  protocol: z.enum(['graphql', 'plain']),
  url: z.string(),
  token: z.string(),
  conversationId: z.string(),
});
export type Slot = z.infer<typeof slot>;

/** What a client saw of a turn that came through whole. Times in milliseconds. */
export interface SeenTurn {
  readonly firstTokenMs: number;
  readonly totalMs: number;
  readonly deltas: number;
  /** How late each token came, against the rhythm of the stream's own most punctual one. Empty where none was asked. */
  readonly lateMs: readonly number[];
}

const document = /* GraphQL */ `subscription Turn($input: ChatTurnInput!) {
  chatTurn(input: $input) {
    __typename
    seq
    ... on TextDelta { messageId offset delta }
    ... on RunFailed { error { code message } }
  }
}`;

interface Frame {
  readonly __typename: string;
  readonly seq: number;
  readonly messageId?: string;
  readonly offset?: number;
  readonly delta?: string;
}

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

/** Checks the events of one turn as they come. */
class TurnWatch {
  readonly #asked: Ask;
  readonly #expected: Answer;
  readonly #askedAt = performance.now();
  readonly #moments: number[] = [];
  #firstTokenAt = 0;
  #length = 0;
  #tokens = 0;
  #deltas = 0;
  #seq = 0;
  #messageId: string | undefined;
  #completed = false;

  constructor(asked: Ask) {
    this.#asked = asked;
    this.#expected = answerOf(asked.tokens);
  }

  /** Takes an event. @returns whether it is the last. @throws when it is not the one that has to come */
  see(frame: Frame): boolean {
    if (this.#completed || !(frame.seq > this.#seq)) throw new Error(`Event ${frame.seq} after ${this.describe()}`);
    this.#seq = frame.seq;
    if (
      frame.__typename === 'RunFailed' ||
      frame.__typename === 'RunCancelled' ||
      frame.__typename === 'TextRetracted'
    ) {
      throw new Error(`${JSON.stringify(frame)} after ${this.describe()}`);
    }
    if (frame.__typename === 'RunCompleted') this.#completed = true;
    if (frame.__typename === 'TextDelta') this.#seeDelta(frame);
    return this.#completed;
  }

  #seeDelta({ messageId, offset, delta }: Frame): void {
    const now = performance.now();
    this.#messageId ??= messageId;
    const { text, ends } = this.#expected;
    const fits = offset === this.#length && delta !== undefined && text.startsWith(delta, offset);
    if (!fits || messageId === undefined || messageId !== this.#messageId) {
      throw new Error(`Not what follows: ${JSON.stringify({ offset, delta })} after ${this.describe()}`);
    }
    this.#length += delta.length;
    this.#deltas++;
    if (this.#tokens === 0) this.#firstTokenAt = now;
    for (; (ends[this.#tokens] ?? Infinity) <= this.#length; this.#tokens++) this.#moments.push(now);
  }

  /** @throws when the turn is not whole */
  finish(): SeenTurn {
    if (!this.#completed || this.#length !== this.#expected.text.length)
      throw new Error(`Not whole: ${this.describe()}`);
    const { perSecond } = this.#asked;
    // The first token arrives immediately; the rhythm begins with the second.
    const against = perSecond === 0 ? [] : this.#moments.slice(1).map((at, place) => at - (place * 1000) / perSecond);
    const best = against.reduce((least, at) => Math.min(least, at), Infinity);
    return {
      firstTokenMs: this.#firstTokenAt - this.#askedAt,
      totalMs: performance.now() - this.#askedAt,
      deltas: this.#deltas,
      lateMs: against.map((at) => at - best),
    };
  }

  describe(): string {
    return `event ${this.#seq}, ${this.#tokens} of ${this.#asked.tokens} tokens, completed: ${this.#completed}`;
  }
}

let lastAnswer: { readonly tokens: number; readonly answer: Answer } | undefined;
/** One for all clients of a round: they compare and do not write. */
function answerOf(tokens: number): Answer {
  if (lastAnswer?.tokens !== tokens) lastAnswer = { tokens, answer: writeAnswer(tokens) };
  return lastAnswer.answer;
}
