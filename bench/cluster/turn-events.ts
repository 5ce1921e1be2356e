import { z } from 'zod';
import type { Instance } from './cluster.ts';
import type { Talk } from './seen-turn.ts';
import { openSocket } from './turn-reader.ts';

const event = z.looseObject({
  __typename: z.string(),
  runId: z.string(),
  toolCall: z.object({ id: z.string() }).optional(),
});
/** An event of a turn, and when it came, by performance.now(). */
export type TimedEvent = z.infer<typeof event> & { readonly at: number };

const message = z.looseObject({ type: z.string(), payload: z.unknown().optional() });
const next = z.object({ data: z.object({ chatTurn: event }) });
const document = `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) {
  __typename runId ... on ToolCallStarted { toolCall { id } } ... on ApprovalRequested { toolCall { id } }
} }`;

/** A turn that was started at an instance, and is read there. */
export interface TurnEvents extends Disposable {
  /** The first event of a type that came or comes. @throws when the stream ends without it */
  until(type: string): Promise<TimedEvent>;
}

/** Starts a turn, and notes when each of its events comes. */
export async function startTurn(at: Instance, { token, conversationId }: Talk, content: string): Promise<TurnEvents> {
  const socket = await openSocket(at.url, token);
  const events: TimedEvent[] = [];
  const waiting = new Set<() => void>();
  let end: string | null = null;
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  socket.on('message', (data) => {
    const at = performance.now();
    const { type, payload } = message.parse(JSON.parse(String(data)));
    if (type === 'ping') return socket.send('{"type":"pong"}');
    const step = next.safeParse(payload);
    if (type === 'next' && step.success) events.push({ ...step.data.data.chatTurn, at });
    else end ??= String(data);
    return wake();
  });
  socket.on('close', () => {
    end ??= 'The socket was closed.';
    wake();
  });
  const input = { conversationId, content, idempotencyKey: crypto.randomUUID() };
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: document, variables: { input } } }));
  return {
    until: (type) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = events.find(({ __typename }) => __typename === type);
          if (found === undefined && end === null) return;
          waiting.delete(look);
          if (found) resolve(found);
          else reject(new Error(`${type} did not come: ${events.map(({ __typename }) => __typename)}; ${end}`));
        };
        waiting.add(look);
        look();
      }),
    [Symbol.dispose]: () => socket.terminate(),
  };
}
