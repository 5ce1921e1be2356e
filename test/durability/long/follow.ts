import { setTimeout as sleep } from 'node:timers/promises';
import { tryDecide } from '../../approvals/decide.ts';
import { documents } from '../../support/chat.ts';
import { StreamRefused, type TurnEvent } from '../../support/clients/turn-reader.ts';
import { findFaults } from '../find-faults.ts';
import { type Ask, buying, type Fleet, type Instance } from './fleet.ts';

/** For what hangs: nothing is expected to take so long. */
const hangMs = 180_000;
const terminal = /^Run(Completed|Failed|Cancelled)$/;
/** What a client tries again: it was not done, or another instance does it. */
const passing = ['UNAVAILABLE', 'INTERNAL'];

/** A turn that is followed to its end, whatever becomes of the instances. */
export interface FollowedTurn {
  readonly events: TurnEvent[];
  /** What it has to say. */
  readonly texts: readonly string[];
  /** Resolves at its end. @throws if it does not come, or a client is told what it must not be told */
  readonly ended: Promise<void>;
}

/**
 * Starts a turn and follows it to its end: a client that comes back with its key, after the last event that it has, to the
 * next instance that lives, each time its stream breaks.
 * @param first the instance that it asks first
 */
export function followTurn(
  fleet: Fleet,
  first: Instance,
  conversationId: string,
  key: string,
  { content, texts }: Ask = buying,
): FollowedTurn {
  const events: TurnEvent[] = [];
  const follow = async () => {
    const deadline = performance.now() + hangMs;
    for (let instance = first, tries = 0; ; tries++) {
      if (performance.now() > deadline) throw new Error(`The turn ${key} has no end after ${hangMs} ms.`);
      const after = events.at(-1)?.seq ?? 0;
      const input = { conversationId, content, idempotencyKey: key, after, ifBusy: 'ENQUEUE' };
      try {
        const reader = instance.alice.chatTurn(tries % 2 ? 'sse' : 'ws', input);
        const leaving = setTimeout(() => void reader.leave(), deadline - performance.now());
        try {
          for (let event = await reader.next(); event; event = await reader.next()) {
            events.push(event);
            if (event.__typename === 'ApprovalRequested') void approve(fleet, instance, event);
          }
        } finally {
          clearTimeout(leaving);
        }
      } catch (error) {
        if (error instanceof StreamRefused && !error.errors.some(({ extensions }) => passing.includes(extensions.code)))
          throw error;
      }
      if (events.some(({ __typename }) => terminal.test(__typename))) return;
      await sleep(200);
      const others = fleet.instances.filter((other) => other !== instance);
      instance = others[tries % Math.max(1, others.length)] ?? instance;
    }
  };
  const ended = follow();
  // Whoever waits for it comes later.
  ended.catch(() => {});
  return { events, ended, texts };
}

/** Approves a call, and asks again until there is an answer: somebody who is patient. */
async function approve(fleet: Fleet, first: Instance, { runId, toolCall }: TurnEvent): Promise<void> {
  const decision = { runId, callId: toolCall?.callId ?? '', toolCallId: toolCall?.id ?? '', approve: true };
  for (let instance = first, tries = 0; tries < hangMs / 200; tries++) {
    // The server can be gone, and what it answers can be gone with it.
    const answer = await tryDecide(instance.server, instance.alice, decision).catch(() => null);
    if (answer && !answer.errors.some(({ extensions }) => passing.includes(extensions.code))) return;
    await sleep(200);
    instance = fleet.instances[tries % Math.max(1, fleet.instances.length)] ?? instance;
  }
}

/** How a turn ended, for the table, and what is wrong with it. */
export interface Verdict {
  readonly outcome: string;
  readonly faults: readonly string[];
}

/** Holds a turn that was followed against its rows, the stream of a later reader, and the log of the tool. */
export async function judgeTurn(fleet: Fleet, { events, ended, texts }: FollowedTurn): Promise<Verdict> {
  const failure = await ended.then(
    () => null,
    (error: unknown) => describe(error),
  );
  const runId = events[0]?.runId;
  if (failure !== null || runId === undefined) return { outcome: 'no end', faults: [failure ?? 'There is no event.'] };
  const alice = fleet.instances[0]?.alice;
  if (!alice) return { outcome: 'no instance', faults: ['No instance lives.'] };
  const { run } = await patiently(() => alice.ask(documents.run, { id: runId }));
  const replay = await patiently(() => alice.runEvents('ws', runId).rest());
  const received = fleet.received.flatMap((key) => (key.startsWith(`${runId}:`) ? [key.slice(runId.length + 1)] : []));
  // A reader that was there before a takeover has seen more events than one that comes after it.
  const faults = findFaults({ run, readers: [events, replay], received, mayDiffer: true });
  const contents = run.messages.map(({ content }: { content: string }) => content);
  if (run.status === 'COMPLETED' && JSON.stringify(contents) !== JSON.stringify(texts))
    faults.push(`It is COMPLETED with another text: ${JSON.stringify(contents)}`);
  const [call] = run.toolCalls;
  const outcome = [run.status, run.error?.code, call && call.status !== 'SUCCEEDED' ? `call ${call.status}` : null];
  return { outcome: outcome.filter((part) => part).join(' '), faults };
}

/** What a turn was not followed for: an error, or the close of a socket, of which graphql-ws throws the event. */
function describe(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error && 'reason' in error)) return String(error);
  return `The socket was closed: ${error.code} ${error.reason}`;
}

/** Asks again while the server says that it cannot answer: connections of before the last outage may still be silent. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + hangMs; ; await sleep(200)) {
    try {
      return await ask();
    } catch (error) {
      if (!/"code":"UNAVAILABLE"/.test(String(error)) || performance.now() > deadline) throw error;
    }
  }
}

/** Whether something of a turn is lost, was done twice, or did not come to its end. */
export function isNotWhole({ outcome, faults }: Verdict): boolean {
  return faults.length > 0 || !outcome.startsWith('COMPLETED');
}

/** Counts how turns ended. */
export function countOutcomes(verdicts: readonly Verdict[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of verdicts) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
}
