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

// All attackers of the soak, in a process of their own: `open`, `start`, `stop`.

const attacks: Readonly<Record<string, Attack>> = {
  'pings before init': sendPings,
  'invalid documents without a token': sendInvalidDocuments,
  'pipelined requests': pipelineRequests,
  'odd Host headers': sendOddHosts,
  'a provider that floods events': floodEvents,
  'large pages': readLargePages,
  'unread SSE streams': openUnreadStreams,
  '1,500 ENQUEUE': fillQueue,
};

const counts = new Map<string, Map<string, number>>();
const provider = await startFloodingProvider();
const left = new AbortController();
let running: Promise<unknown> = Promise.resolve();

answerCalls({
  providerUrl: () => provider.url,
  /** Makes what the attacks read, before they begin. */
  prepare: async (params) => {
    const target = attackTarget.omit({ largeConversation: true, longRun: true }).parse(params);
    const largeConversation = await makeLargeConversation(target, left.signal);
    return { largeConversation, longRun: await makeLongRun(target, left.signal) };
  },
  start: (params) => {
    const { only, ...target } = attackTarget.extend({ only: z.array(z.string()) }).parse(params);
    const chosen = Object.entries(attacks).filter(([name]) => only.length === 0 || only.includes(name));
    running = Promise.all(chosen.map(([name, attack]) => keepAttacking(name, attack, target)));
    return chosen.map(([name]) => name);
  },
  stop: async () => {
    left.abort();
    provider.close();
    await running;
    return Object.fromEntries([...counts].map(([name, entries]) => [name, Object.fromEntries(entries)]));
  },
});

/** An attack that is refused begins again a moment later: it is what an attacker would do. */
async function keepAttacking(name: string, attack: Attack, target: AttackTarget): Promise<void> {
  const entries = new Map<string, number>();
  counts.set(name, entries);
  const count = (what: string) => void entries.set(what, (entries.get(what) ?? 0) + 1);
  while (!left.signal.aborted) {
    await attack(target, left.signal, count).catch((error: unknown) => {
      if (!left.signal.aborted) count(`given up: ${String(error).slice(0, 80)}`);
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
