import { setPriority } from 'node:os';
import { z } from 'zod';
import { answerCalls } from '../rpc.ts';
import { type Attack, type AttackTarget, attackTarget } from './attack.ts';
import {
  fillQueue,
  floodEvents,
  makeLargeConversation,
  makeLongRun,
  openUnreadStreams,
  readLargePages,
} from './attacks-with-token.ts';
import { pipelineRequests, sendInvalidDocuments, sendOddHosts, sendPings } from './attacks-without-token.ts';
import { startFloodingProvider } from './flooding-provider.ts';
import { leaveRunsWaiting } from './waiting-runs.ts';

// All attackers of the soak, in a process of their own: `prepare`, then `start` and `stop` as often as one likes.

// In the field, attackers have machines of their own. Here they would take the CPU from the server and its honest users by
// what they compute themselves, so the system serves them last: they have what the others leave.
setPriority(10);

const attacks: Readonly<Record<string, Attack>> = {
  'pings before init': sendPings,
  'invalid documents without a token': sendInvalidDocuments,
  'pipelined requests': pipelineRequests,
  'odd Host headers': sendOddHosts,
  'a provider that floods events': floodEvents,
  'large pages': readLargePages,
  'unread SSE streams': openUnreadStreams,
  '1,500 ENQUEUE': fillQueue,
  'runs that wait for a person': leaveRunsWaiting,
};

const startParams = attackTarget.extend({ only: z.array(z.string()) });
const counts = new Map<string, Map<string, number>>();
const provider = await startFloodingProvider();
let leaving = new AbortController();
let running: Promise<unknown> = Promise.resolve();

answerCalls({
  providerUrl: () => provider.url,
  /** Makes what the attacks read, before they begin. */
  prepare: async (params) => {
    const target = attackTarget.omit({ largeConversation: true, longRun: true }).parse(params);
    const { signal } = leaving;
    const largeConversation = await makeLargeConversation(target, signal);
    return { largeConversation, longRun: await makeLongRun(target, signal) };
  },
  list: (params) => choose(startParams.parse(params).only).map(([name]) => name),
  start: (params) => {
    const { only, ...target } = startParams.parse(params);
    const chosen = choose(only);
    leaving = new AbortController();
    const { signal } = leaving;
    counts.clear();
    running = Promise.all(chosen.map(([name, attack]) => keepAttacking(name, attack, target, signal)));
    return chosen.map(([name]) => name);
  },
  stop: async () => {
    leaving.abort();
    provider.cut();
    await running;
    return Object.fromEntries([...counts].map(([name, entries]) => [name, Object.fromEntries(entries)]));
  },
});

/** The attacks of these names, or all if there are none. */
function choose(only: readonly string[]): [name: string, attack: Attack][] {
  return Object.entries(attacks).filter(([name]) => only.length === 0 || only.includes(name));
}

/** An attack that is refused begins again a moment later: it is what an attacker would do. */
async function keepAttacking(name: string, attack: Attack, target: AttackTarget, signal: AbortSignal): Promise<void> {
  const entries = new Map<string, number>();
  counts.set(name, entries);
  const count = (what: string) => void entries.set(what, (entries.get(what) ?? 0) + 1);
  while (!signal.aborted) {
    await attack(target, signal, count).catch((error: unknown) => {
      if (!signal.aborted) count(`given up: ${String(error).slice(0, 80)}`);
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
