import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { z } from 'zod';
import { type Ask, writeAsk } from './answer.ts';
import { type SeenTurn, TurnWatch } from './turn-watch.ts';

// Unchecked, like the frames of TurnClient: what is in it is compared with what is expected.
const dataOf = z.custom<{ readonly delta: string }>((value) => typeof value === 'object');

/** Asks for one turn of the route of agents-sdk.ts, on a connection that is open, and checks every token of it. */
export class SseClient {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(url: string) {
    this.#url = url;
  }

  /** Opens the connection. */
  static async connect(url: string): Promise<SseClient> {
    const client = new SseClient(url);
    const response = await client.#post('');
    response.resume();
    await once(response, 'end');
    return client;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Runs a turn from asking to the end. @throws when a token is lost, doubled or out of order, or without an end */
  async run(asked: Ask): Promise<SeenTurn> {
    const watch = new TurnWatch(asked);
    const response = await this.#post(writeAsk(asked));
    let rest = '';
    let seq = 0;
    let offset = 0;
    for await (const text of response.setEncoding('utf8')) {
      rest += String(text);
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        if (block.startsWith('event: done')) {
          watch.see({ __typename: 'RunCompleted', seq: ++seq });
          continue;
        }
        const { delta } = dataOf.parse(JSON.parse(block.slice('data: '.length)));
        watch.see({ __typename: 'TextDelta', seq: ++seq, messageId: 'only', offset, delta });
        offset += delta.length;
      }
    }
    return watch.finish();
  }

  #post(body: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      request(this.#url, { method: 'POST', agent: this.#agent }, resolve).on('error', reject).end(body);
    });
  }
}
