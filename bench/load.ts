import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ask, startsWithin, writeAsk } from './answer.ts';
import { countReads } from './read-client.ts';
import type { Round } from './round.ts';
import { answerCalls } from './rpc.ts';
import { SseClient } from './sse-client.ts';
import { median, percentile } from './statistics.ts';
import { type Slot, slot, TurnClient } from './turn-client.ts';

// The load client, in a process of its own: one socket per turn, every token checked.

let clients: (TurnClient | SseClient)[] = [];

const connect = (one: Slot) => (one.protocol === 'sse' ? SseClient.connect(one.url) : TurnClient.connect(one));

answerCalls({
  /** Opens a socket for each slot. */
  async connect(params) {
    for (const client of clients) client.close();
    clients = [];
    const slots = z.array(slot).parse(params);
    const batch = 50;
    for (let from = 0; from < slots.length; from += batch) {
      clients.push(...(await Promise.all(slots.slice(from, from + batch).map(connect))));
    }
    return clients.length;
  },

  /** Asks for a turn on every socket, and checks all that comes. */
  async run(params): Promise<Round> {
    const { withinMs, ...asked } = ask.extend({ withinMs: startsWithin }).parse(params);
    const seen = await Promise.all(
      clients.map(async (client, place) => {
        if (withinMs > 0) await sleep((place * withinMs) / clients.length);
        return client.run(asked);
      }),
    );
    const late = seen.flatMap((turn) => turn.lateMs);
    return {
      turns: seen.length,
      tokens: seen.length * asked.tokens,
      deltas: seen.reduce((sum, turn) => sum + turn.deltas, 0),
      firstTokenMs: median(seen.map((turn) => turn.firstTokenMs)),
      firstToken95Ms: percentile(
        seen.map((turn) => turn.firstTokenMs),
        0.95,
      ),
      totalMs: median(seen.map((turn) => turn.totalMs)),
      lateMedianMs: late.length === 0 ? 0 : median(late),
      late99Ms: late.length === 0 ? 0 : percentile(late, 0.99),
    };
  },

  /** Reads again and again, as fast as the answers come. */
  read: countReads,

  /** How long the endpoint by itself takes to its first token. */
  async askEndpoint(params) {
    const { url, asked } = z.object({ url: z.url(), asked: ask }).parse(params);
    const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: writeAsk(asked) }] });
    const askedAt = performance.now();
    return new Promise((resolve, reject) => {
      const call = request(`${url}/chat/completions`, { method: 'POST' }, (response) => {
        let text = '';
        let firstTokenMs = 0;
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          if (firstTokenMs === 0 && text.includes('"content":" ')) firstTokenMs = performance.now() - askedAt;
        });
        response.on('end', () => (firstTokenMs > 0 ? resolve(firstTokenMs) : reject(new Error('No token came.'))));
      });
      call.on('error', reject);
      call.end(body);
    });
  },
});
