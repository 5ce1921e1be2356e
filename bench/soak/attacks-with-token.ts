import { setTimeout as sleep } from 'node:timers/promises';
import { writeAsk } from '../answer.ts';
import { type Attack, askAs, makeAs } from './attack.ts';
import { openSocket } from './attacks-without-token.ts';

/** An agent whose provider alternates one character of content and one of reasoning, and never stops. */
export const floodEvents: Attack = async (target, signal, count) => {
  const llm = { provider: 'custom', model: 'm', apiUrl: target.providerUrl, api: 'CHAT_COMPLETIONS', apiKey: 'none' };
  const agent = { name: 'flood', instructions: 'Go on.', llm };
  const agentId = await makeAs(target, 0, 'createAgent', 'CreateAgentInput!', agent, signal);
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
    await askAs(
      target,
      0,
      'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { id } }',
      { input },
      signal,
    );
    count('turns');
    await sleep(1_000);
  }
};

/** Eight readers of the largest page that the documentation allows, of messages of 100,000 characters. */
export const readLargePages: Attack = async (target, signal, count) => {
  const conversationId = await makeAs(target, 1, 'createConversation', 'CreateConversationInput', {}, signal);
  const content = 'é'.repeat(100_000);
  for (let made = 0; made < target.messages; made += 4) {
    const input = { conversationId, role: 'USER', content };
    const make = () => makeAs(target, 1, 'createMessage', 'CreateMessageInput!', input, signal);
    await Promise.all([make(), make(), make(), make()]);
  }
  count(`messages: ${target.messages}`);
  const query = `{ conversation(id: "${conversationId}") { messages(first: 500) { edges { node { id content } } } } }`;
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
      count(response.ok ? 'pages' : 'refused');
      if (bytes > 50_000_000) count('pages of more than 50 MB');
      await sleep(500);
    }
  };
  await Promise.all(Array.from({ length: 8 }, () => keepTrying(read, signal)));
};

/** 300 streams over SSE of a long finished run, which nobody reads. */
export const openUnreadStreams: Attack = async (target, signal, count) => {
  const conversationId = await makeAs(target, 2, 'createConversation', 'CreateConversationInput', {}, signal);
  const content = writeAsk({ tokens: 20_000, perSecond: 0 });
  const input = { conversationId, content, idempotencyKey: 'long' };
  const send = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { id } }';
  await askAs(target, 2, send, { input }, signal);
  const runId = await makeAs(target, 2, 'startRun', 'ChatTurnInput!', input, signal);
  const query = 'subscription ($runId: ID!) { runEvents(runId: $runId) { seq ... on TextDelta { delta } } }';
  const body = JSON.stringify({ query, variables: { runId } });
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
      socket.pause();
      socket.write(request);
      count('opened');
      while (!socket.destroyed && !signal.aborted) await sleep(1_000);
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 300 }, open));
};

/** 1,500 turns at the same time that wait for one another in one conversation. */
export const fillQueue: Attack = async (target, signal, count) => {
  const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
  while (!signal.aborted) {
    const conversationId = await makeAs(target, 3, 'createConversation', 'CreateConversationInput', {}, signal);
    const enqueue = async () => {
      const content = writeAsk({ tokens: 2, perSecond: 0 });
      const input = { conversationId, content, idempotencyKey: crypto.randomUUID(), ifBusy: 'ENQUEUE' };
      count((await askAs(target, 3, start, { input }, signal)) === null ? 'refused' : 'queued');
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
