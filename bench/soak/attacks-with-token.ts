import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { writeAsk } from '../answer.ts';
import { type Attack, askAs, type BareTarget, makeAs } from './attack.ts';
import { openSocket } from './attacks-without-token.ts';
import { longModel } from './flooding-provider.ts';

const sent = z.object({ sendMessage: z.object({ status: z.string() }) });

/** An agent whose provider alternates one character of content and one of reasoning, and never stops. */
export const floodEvents: Attack = async (target, signal, count) => {
  const agentId = await makeAgent(target, 0, 'flood', signal);
  while (!signal.aborted) {
    const conversationId = await makeAs(
      target,
      0,
      'createConversation',
      'CreateConversationInput',
      { agentId },
      signal,
    );
    const input = { conversationId, content: 'Go', idempotencyKey: crypto.randomUUID() };
    const send = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status } }';
    const data = await askAs(target, 0, send, { input }, signal);
    const answer = sent.safeParse(data);
    if (!answer.success) count(`refused: ${String(data)}`);
    else count(answer.data.sendMessage.status === 'COMPLETED' ? 'turns that completed' : 'turns that failed');
    await sleep(1_000);
  }
};

/** A conversation of messages of 100,000 characters. @returns its id */
export async function makeLargeConversation(target: BareTarget, signal: AbortSignal): Promise<string> {
  const conversationId = await makeAs(target, 1, 'createConversation', 'CreateConversationInput', {}, signal);
  const content = 'é'.repeat(100_000);
  for (let made = 0; made < target.messages; made += 4) {
    const input = { conversationId, role: 'USER', content };
    const make = () => makeAs(target, 1, 'createMessage', 'CreateMessageInput!', input, signal);
    await Promise.all([make(), make(), make(), make()]);
  }
  return conversationId;
}

/** Eight readers of the largest page that the documentation allows, of messages of 100,000 characters. */
export const readLargePages: Attack = async (target, signal, count) => {
  const query = `{ conversation(id: "${target.largeConversation}") { messages(first: 500) { edges { node { id content } } } } }`;
  const read = async () => {
    while (!signal.aborted) {
      const response = await fetch(`${target.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${target.tokens[1]}` },
        body: JSON.stringify({ query }),
        signal,
      });
      let bytes = 0;
      for await (const chunk of response.body ?? []) bytes += chunk.length;
      count(bytes > 50_000_000 ? 'pages of more than 50 MB' : 'pages, cut or refused');
      await sleep(500);
    }
  };
  await Promise.all(Array.from({ length: 8 }, () => keepTrying(read, signal)));
};

/** A run of 800,000 characters. @returns its id, when it has ended */
export async function makeLongRun(target: BareTarget, signal: AbortSignal): Promise<string> {
  const agentId = await makeAgent(target, 2, longModel, signal);
  const conversationId = await makeAs(target, 2, 'createConversation', 'CreateConversationInput', { agentId }, signal);
  const input = { conversationId, content: 'Go', idempotencyKey: 'long' };
  return makeAs(target, 2, 'sendMessage', 'ChatTurnInput!', input, signal);
}

/** An agent of the fake provider. @returns its id */
export function makeAgent(
  target: BareTarget,
  user: number,
  model: string,
  signal: AbortSignal,
  tools: readonly string[] = [],
): Promise<string> {
  const llm = { provider: 'custom', model, apiUrl: target.providerUrl, api: 'CHAT_COMPLETIONS', apiKey: 'none' };
  const agent = { name: model, instructions: 'Go on.', llm, tools };
  return makeAs(target, user, 'createAgent', 'CreateAgentInput!', agent, signal);
}

/** 400 streams over SSE of a long finished run, which nobody reads: more than a user may have. */
export const openUnreadStreams: Attack = async (target, signal, count) => {
  // Each delta several times, 16 MB in all: a short stream would end in the buffers of the operating system.
  const deltas = Array.from({ length: 20 }, (_none, index) => `delta${index}: delta`).join(' ');
  const query = `subscription ($runId: ID!) { runEvents(runId: $runId) { seq ... on TextDelta { ${deltas} } } }`;
  const body = JSON.stringify({ query, variables: { runId: target.longRun } });
  const request = [
    'POST /graphql HTTP/1.1',
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    'Accept: text/event-stream',
    `Authorization: Bearer ${target.tokens[2]}`,
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
  const open = async () => {
    while (!signal.aborted) {
      const socket = openSocket(target, () => {});
      socket.write(request);
      const [head] = await Promise.race([once(socket, 'data'), once(socket, 'close'), sleep(10_000, [''])]);
      socket.pause();
      const isOpen = String(head).startsWith('HTTP/1.1 200');
      count(isOpen ? 'opened' : 'refused');
      while (isOpen && !socket.destroyed && !signal.aborted) await checkIsOpen(socket);
      // Once more in the end, when the other attacks are over: until then, this process may have had no time to notice.
      if (isOpen && signal.aborted) for (let times = 0; times < 2; times += 1) await checkIsOpen(socket);
      if (isOpen && socket.destroyed) count('ended by the server');
      socket.destroy();
      await sleep(isOpen ? 200 : 5_000);
    }
  };
  await Promise.all(Array.from({ length: 400 }, open));
};

/** A socket that reads nothing notices its end only when it writes. Servers ignore empty lines before a request. */
async function checkIsOpen(socket: Socket): Promise<void> {
  socket.write('\r\n');
  await sleep(1_000);
}

/** 1,500 turns at the same time that wait for one another in one conversation. */
export const fillQueue: Attack = async (target, signal, count) => {
  const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
  while (!signal.aborted) {
    const conversationId = await makeAs(target, 3, 'createConversation', 'CreateConversationInput', {}, signal);
    const enqueue = async () => {
      const content = writeAsk({ tokens: 2, perSecond: 0 });
      const input = { conversationId, content, idempotencyKey: crypto.randomUUID(), ifBusy: 'ENQUEUE' };
      count(typeof (await askAs(target, 3, start, { input }, signal)) === 'string' ? 'refused' : 'queued');
    };
    await Promise.allSettled(Array.from({ length: 1_500 }, enqueue));
    await sleep(2_000);
  }
};

async function keepTrying(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work().catch(() => {});
    await sleep(200);
  }
}
