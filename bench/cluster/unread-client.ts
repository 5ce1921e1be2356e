import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { speech } from './speech.ts';
import { TurnCheck } from './turn-check.ts';
import { askForRun, openSocket, readTurn } from './turn-reader.ts';

export const unreadParams = z.strictObject({
  url: z.string(),
  token: z.string(),
  runId: z.string(),
  speech,
  /** How long it does not read, in milliseconds. */
  pausedMs: z.number(),
});

/** What became of a reader that did not read. */
export interface Unread {
  readonly faults: string[];
  readonly errors: string[];
  readonly reconnects: number;
}

/** Subscribes to a run, stops to read the socket after the first event, goes on later, and checks that all of it comes. */
export async function readUnread(params: z.infer<typeof unreadParams>): Promise<Unread> {
  const { url, token, runId, speech: asked, pausedMs } = params;
  const check = new TurnCheck(asked);
  const socket = await openSocket(url, token);
  let paused = false;
  const onEvent = () => {
    if (paused) return;
    paused = true;
    socket.pause();
    void sleep(pausedMs).then(() => socket.resume());
  };
  const { errors, reconnects } = await readTurn(askForRun(runId), check, () => [url], token, {
    opened: socket,
    onEvent,
  });
  return { faults: check.faults, errors, reconnects };
}
