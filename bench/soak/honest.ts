import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { writeAsk } from '../answer.ts';
import type { Switchboard } from '../switchboard.ts';
import { TurnClient } from '../turn-client.ts';

/** What honest users do, each timed by itself. */
export const actions = ['turn: first token', 'turn: to its end', 'list', 'socket', '/health'] as const;
type Action = (typeof actions)[number];

/** Whose honest users they are: of the attackers' tenant, whose limits they share with them, or of another one. */
export const groups = ['same tenant', 'other tenant'] as const;
type Group = (typeof groups)[number];

interface HonestUser {
  readonly name: string;
  readonly group: Group;
}

/** What honest users saw in one phase of the soak. */
export interface Experience {
  /** Milliseconds of each action that worked, by group of users. */
  readonly times: Readonly<Record<Group, Map<Action, number[]>>>;
  /** What was answered wrongly or refused. */
  readonly errors: string[];
  /** What was not answered within 15 seconds. */
  readonly late: string[];
}

const turn = { tokens: 20, perSecond: 40 };
/** How long a user waits for anything, in milliseconds. */
const maxWaitMs = 15_000;
/** From one action of a user to the next. Fewer turns than any limit allows: about 20 a minute. */
const pauseMs = 400;
const created = z.object({ createConversation: z.object({ id: z.string() }) });
const listed = z.object({ conversations: z.object({ edges: z.array(z.unknown()) }) });
const listDocument = '{ conversations(first: 20) { edges { node { id title lastMessage { preview } } } } }';

class TooLateError extends Error {}

/**
 * Another address than that of the attackers, who take all sockets without a token that one address may have. Only Linux
 * has further loopback addresses without being told to.
 */
const honestAddress = process.platform === 'linux' ? { localAddress: '127.0.0.2' } : {};

/**
 * Users who talk, list and connect, each one action after the other, until `signal` says so. Half of them are of the
 * attackers' tenant, the others of another one.
 * @returns what they see, which grows, and a promise of their end
 */
export function runHonestUsers(
  target: Switchboard,
  count: number,
  signal: AbortSignal,
): { readonly experience: Experience; readonly finished: Promise<unknown> } {
  const noTimes = () => new Map(actions.map((action): [Action, number[]] => [action, []]));
  const experience: Experience = {
    times: { 'same tenant': noTimes(), 'other tenant': noTimes() },
    errors: [],
    late: [],
  };
  const measure = async ({ group }: HonestUser, action: Action, work: () => Promise<unknown>) => {
    const start = performance.now();
    try {
      await Promise.race([work(), failAfter(maxWaitMs)]);
      experience.times[group].get(action)?.push(performance.now() - start);
    } catch (error) {
      note(experience, action, error, signal);
    }
    await sleep(pauseMs);
  };
  const live = async (user: HonestUser) => {
    const { name } = user;
    while (!signal.aborted && target.child.runs) {
      await measure(user, '/health', async () => {
        const response = await fetch(new URL('/health', target.address));
        await response.text();
        if (!response.ok) throw new Error(`/health is ${response.status}`);
      });
      await measure(user, 'list', () => target.ask(name, listDocument, {}, listed));
      await measure(user, 'socket', () => openSocket(target, name));
      await talk(target, user, experience, signal);
      await sleep(pauseMs);
    }
  };
  return {
    experience,
    finished: Promise.all(
      Array.from({ length: count }, (_none, index) =>
        live(
          index % 2 === 0
            ? { name: `honest-${index}`, group: 'same tenant' }
            : { name: `honest-${index}@other`, group: 'other tenant' },
        ),
      ),
    ),
  };
}

function note({ errors, late }: Experience, what: string, error: unknown, signal: AbortSignal): void {
  if (!signal.aborted) (error instanceof TooLateError ? late : errors).push(`${what}: ${String(error).slice(0, 200)}`);
}

/** A turn in a new conversation, every token of which is checked. */
async function talk(
  target: Switchboard,
  { name, group }: HonestUser,
  experience: Experience,
  signal: AbortSignal,
): Promise<void> {
  let socket: TurnClient | null = null;
  try {
    const create = target.ask(name, 'mutation { createConversation { id } }', {}, created);
    const { createConversation } = await Promise.race([create, failAfter(maxWaitMs)]);
    const url = `ws://${target.address.host}/graphql`;
    const token = await target.tokenOf(name);
    const slot = { protocol: 'graphql', url, token, conversationId: createConversation.id } as const;
    const client = await Promise.race([TurnClient.connect(slot, honestAddress), failAfter(maxWaitMs)]);
    socket = client;
    const seen = await Promise.race([client.run(turn), failAfter(maxWaitMs)]);
    experience.times[group].get('turn: first token')?.push(seen.firstTokenMs);
    experience.times[group].get('turn: to its end')?.push(seen.totalMs);
  } catch (error) {
    note(experience, `turn (${writeAsk(turn)})`, error, signal);
  } finally {
    socket?.close();
  }
}

async function openSocket(target: Switchboard, name: string): Promise<void> {
  const socket = new WebSocket(`ws://${target.address.host}/graphql`, 'graphql-transport-ws', honestAddress);
  try {
    await once(socket, 'open');
    const acknowledged = once(socket, 'message');
    const authorization = `Bearer ${await target.tokenOf(name)}`;
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    const [message] = await acknowledged;
    if (!String(message).includes('connection_ack')) throw new Error(String(message));
  } finally {
    socket.terminate();
  }
}

async function failAfter(milliseconds: number): Promise<never> {
  await sleep(milliseconds, undefined, { ref: false });
  throw new TooLateError(`nothing after ${milliseconds / 1_000} s`);
}
