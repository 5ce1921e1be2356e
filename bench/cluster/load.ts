import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { answerCalls } from '../rpc.ts';
import { churn, churnParams } from './churn-clients.ts';

import { type SeenTurn, type TalkResult, talk, turnParams } from './seen-turn.ts';
import { speech, writeSpeech } from './speech.ts';
import { TurnCheck } from './turn-check.ts';
import { askForRun, askForTurn, openSocket, readTurn } from './turn-reader.ts';
import { readUnread, unreadParams } from './unread-client.ts';

// The clients of the cluster, in a process of their own: each reader has a socket of its own, and checks all that it is given.

/** The instances that take new connections, as a load balancer knows them. */
let ready: readonly string[] = [];
let next = 0;
/** As a balancer gives them out: another one each time. */
function rotate(): readonly string[] {
  next += 1;
  return ready.map((_, index) => ready[(index + next) % ready.length] ?? '');
}

/** What is heard of turns, by their conversations, where they were started. */
const watched = new Map<string, TurnCheck>();
const held: WebSocket[] = [];
/** Those of them that have heard something. */
const hearing = new Set<WebSocket>();
let talking: { stop: boolean; readonly over: Promise<TalkResult> } | null = null;

/** One turn, with its readers at other instances from its first event on. */
async function seeTurn(params: unknown): Promise<SeenTurn> {
  const { token, conversationId, speech: asked, start, readers, stay } = turnParams.parse(params);
  const from = (first: string) => (stay ? () => [first] : () => [first, ...ready.filter((url) => url !== first)]);
  const checks = [start, ...readers].map(() => new TurnCheck(asked));
  const [own, ...others] = checks;
  if (!own) throw new Error('There is no reader.');
  watched.set(conversationId, own);
  const sockets = await Promise.all([start, ...readers].map((url) => openSocket(url, token)));
  const begun = Promise.withResolvers<void>();
  const stream = askForTurn(conversationId, writeSpeech(asked), crypto.randomUUID());
  const onEvent = () => begun.resolve();
  const first = sockets[0];
  const starting = readTurn(stream, own, from(start), token, { ...(first && { opened: first }), onEvent });
  await Promise.race([begun.promise, starting]);
  const reading = others.map((check, index) => {
    const [url = start, socket] = [readers[index], sockets[index + 1]];
    return readTurn(askForRun(own.runId ?? ''), check, from(url), token, socket && { opened: socket });
  });
  const journeys = await Promise.all([starting, ...reading]);
  const periodMs = asked.perSecond > 0 ? 1000 / asked.perSecond : 0;
  // The first piece comes immediately; the rhythm begins with the second.
  const against = checks.map(({ moments }) => moments.slice(1).map((at, place) => at - place * periodMs));
  const best = Math.min(...against.flat());
  return {
    readers: checks.map((check, index) => ({
      faults: check.faults,
      errors: journeys[index]?.errors ?? [],
      reconnects: journeys[index]?.reconnects ?? 0,
      repeats: check.repeats,
      lateMs: periodMs === 0 ? [] : (against[index] ?? []).map((at) => Math.round(at - best)),
      deltaTimes: check.deltaTimes.map((at) => Math.round(at + performance.timeOrigin)),
    })),
  };
}

answerCalls({
  turn: seeTurn,

  /** Waits until a turn has said so many pieces. */
  async reached(params) {
    const { conversationId, pieces } = z.object({ conversationId: z.string(), pieces: z.int() }).parse(params);
    while ((watched.get(conversationId)?.moments.length ?? 0) < pieces) await sleep(10);
    return pieces;
  },

  /** Names the instances that take new connections. */
  ready(params) {
    ready = z.array(z.string()).parse(params);
    return ready.length;
  },

  /** Opens sockets that hear what happens in all conversations of their users, and do nothing else. */
  async hold(params) {
    const { urls, tokens } = z.object({ urls: z.array(z.string()), tokens: z.array(z.string()) }).parse(params);
    const batch = 50;
    for (let from = 0; from < tokens.length; from += batch) {
      const some = tokens.slice(from, from + batch).map((token, n) => {
        return openSocket(urls[(from + n) % urls.length] ?? '', token);
      });
      held.push(...(await Promise.all(some)));
    }
    const payload = { query: 'subscription { viewerEvents { seq } }' };
    for (const socket of held) {
      socket.on('message', (data) => {
        if (!hearing.has(socket) && String(data).includes('"type":"next"')) hearing.add(socket);
      });
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
    }
    return held.filter(({ readyState, OPEN }) => readyState === OPEN).length;
  },

  /** How many of the held sockets have heard of something: until then nobody knows whether they hear. */
  hearing: () => hearing.size,

  /** How many of the held sockets are still open. Closes them. */
  release() {
    const open = held.filter(({ readyState, OPEN }) => readyState === OPEN).length;
    for (const socket of held.splice(0)) socket.terminate();
    hearing.clear();
    return open;
  },

  /** Lets somebody in each conversation take turn after turn, until `hush`. */
  talk(params) {
    const { talks, speech: asked } = z.object({ talks: z.array(talk), speech }).parse(params);
    const state = { stop: false };
    const talkOn = async ({ token, conversationId }: z.infer<typeof talk>, place: number): Promise<TalkResult> => {
      const result: TalkResult = { turns: 0, reconnects: 0, repeats: 0, faults: [], errors: [], pauses: [] };
      // Not all in step.
      await sleep((place * 1_000) / talks.length);
      while (!state.stop) {
        const check = new TurnCheck(asked);
        const stream = askForTurn(conversationId, writeSpeech(asked), crypto.randomUUID());
        const journey = await readTurn(stream, check, rotate, token);
        result.turns += 1;
        result.reconnects += journey.reconnects;
        result.repeats += check.repeats;
        result.faults.push(...check.faults);
        result.errors.push(...journey.errors);
        result.pauses.push(longestPause(check.deltaTimes));
      }
      return result;
    };
    const over = Promise.all(talks.map(talkOn)).then((all) => ({
      turns: all.reduce((sum, { turns }) => sum + turns, 0),
      reconnects: all.reduce((sum, { reconnects }) => sum + reconnects, 0),
      repeats: all.reduce((sum, { repeats }) => sum + repeats, 0),
      faults: all.flatMap(({ faults }) => faults),
      errors: all.flatMap(({ errors }) => errors),
      pauses: all.flatMap(({ pauses }) => pauses),
    }));
    talking = Object.assign(state, { over });
    return talks.length;
  },

  /** Ends the talk: each takes its last turn to its end. */
  hush() {
    if (talking === null) throw new Error('Nobody talks.');
    talking.stop = true;
    return talking.over;
  },

  churn: (params) => churn(churnParams.parse(params)),
  unread: (params) => readUnread(unreadParams.parse(params)),
});

/** The longest time between two deltas, in milliseconds. */
function longestPause(times: readonly number[]): number {
  return times.reduce((longest, at, index) => Math.max(longest, at - (times[index - 1] ?? at)), 0);
}
