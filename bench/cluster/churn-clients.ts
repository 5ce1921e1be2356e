import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { talk } from './seen-turn.ts';

export const churnParams = z.strictObject({
  url: z.string(),
  talk,
  /** A run that goes on all the while. */
  runId: z.string(),
  cycles: z.int(),
  /** How many clients there are at the same time. */
  parallel: z.int(),
});

/** When a client is gone, in milliseconds after it has subscribed: at once, a little later, or with its first event (null). */
const lives = [0, 5, null, null] as const;
/** The longest life of one that has no event. */
const longestMs = 2_000;

/**
 * Connects, subscribes and is gone without a goodbye, again and again.
 * @returns how many of the subscriptions have had an event
 */
export async function churn(params: z.infer<typeof churnParams>): Promise<number> {
  const { url, talk: where, runId, cycles, parallel } = params;
  const streams = [
    { query: 'subscription ($id: ID!) { runEvents(runId: $id) { seq } }', variables: { id: runId } },
    {
      query: 'subscription ($id: ID!) { conversationEvents(conversationId: $id, after: 0) { seq } }',
      variables: { id: where.conversationId },
    },
    { query: 'subscription { viewerEvents(after: 0) { seq } }', variables: {} },
  ];
  let begun = 0;
  let served = 0;
  const work = async () => {
    for (let cycle = begun++; cycle < cycles; cycle = begun++) {
      const payload = streams[cycle % streams.length];
      if (
        payload &&
        (await connectAndVanish(
          url,
          where.token,
          payload,
          lives[Math.floor(cycle / streams.length) % lives.length] ?? null,
        ))
      )
        served++;
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return served;
}

/** @returns whether an event had come before the end */
async function connectAndVanish(url: string, token: string, payload: object, lifeMs: number | null): Promise<boolean> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  let hadEvent = false;
  socket.on('error', () => resolve()).on('close', () => resolve());
  socket.on('open', () => {
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  });
  socket.on('message', (data) => {
    const { type } = z.object({ type: z.string() }).parse(JSON.parse(String(data)));
    if (type === 'next') hadEvent = true;
    if (type === 'next' && lifeMs === null) socket.terminate();
    if (type !== 'connection_ack') return;
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
    setTimeout(() => socket.terminate(), lifeMs ?? longestMs);
  });
  // If nobody ends it, it is ended.
  await Promise.race([promise, sleep(10_000, undefined, { ref: false })]);
  socket.terminate();
  return hadEvent;
}
