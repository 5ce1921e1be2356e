import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { followConversation } from './feed-reader.ts';

const app = shareApp();

const treeDocument = `query ($id: ID!) { viewer { lastEventSeq } conversation(id: $id) {
  activeAgent { name } messages { edges { node { id content branches { content } } } }
} }`;
const select = 'mutation ($id: ID!) { selectBranch(messageId: $id) { activeAgent { name } } }';

/** A chat with one turn. */
async function openTurn(text: string) {
  const chat = await openChat(app, 'support');
  app.model.add({ text });
  await chat.readToEnd('U1');
  const read = async () => {
    const { viewer, conversation } = await chat.ask(treeDocument, { id: chat.conversationId });
    const messages: { id: string; content: string; branches: { content: string }[] }[] =
      conversation.messages.edges.map(({ node }: { node: unknown }) => node);
    return { messages, seq: viewer.lastEventSeq, agent: conversation.activeAgent.name };
  };
  return { ...chat, read };
}

test('Who follows a conversation is told which agent is the active one after another branch was chosen', async () => {
  const chat = await openTurn('A1');
  app.model.add(
    { text: 'I look.', calls: [{ name: 'transfer_to_orders', arguments: { reason: 'An order' } }] },
    { text: 'It is on its way.' },
  );
  await chat.readToEnd('U2');
  const first = await chat.read();
  expect(first.agent).toBe('orders');
  app.model.add({ text: 'A2 edited' });
  await chat.readToEnd('U2 edited', { editMessageId: first.messages[2]?.id });
  const second = await chat.read();
  expect(second.agent).toBe('supervisor');

  await using reader = followConversation(app, chat.token, chat.conversationId, second.seq);
  for (const [messages, from, to] of [
    [first.messages, 'supervisor', 'orders'],
    [second.messages, 'orders', 'supervisor'],
  ] as const) {
    const { selectBranch } = await chat.ask(select, { id: messages.at(-1)?.id });
    expect(selectBranch.activeAgent).toEqual({ name: to });
    const told = [await reader.next(), await reader.next()];
    expect(told.map((event) => event?.__typename).toSorted()).toEqual(['AgentSwitched', 'ConversationUpdated']);
    const switched = told.find((event) => event?.__typename === 'AgentSwitched');
    expect(switched).toMatchObject({ fromAgent: { name: from }, toAgent: { name: to } });
  }
});

test('Who follows a conversation is told when an edit that waits is cancelled, and when it stands beside the others', async () => {
  const chat = await openTurn('A1');
  const { messages, seq } = await chat.read();
  const gate = createGate();
  app.model.add({ text: ['A', '2'], afterTokens: 1, gate });
  const second = chat.say('U2');
  await second.untilText('A');
  const input = {
    ...{ conversationId: chat.conversationId, idempotencyKey: 'edit', content: 'U1 edited' },
    ...{ editMessageId: messages[0]?.id, ifBusy: 'ENQUEUE' },
  };
  const { startRun } = await chat.ask(documents.startRun, { input });
  expect(startRun.status).toBe('QUEUED');
  await using reader = followConversation(app, chat.token, chat.conversationId, seq);
  await chat.ask(documents.cancelRun, { id: startRun.id });
  const isCancelled = (event: object) =>
    'run' in event && JSON.stringify(event.run) === JSON.stringify({ id: startRun.id, status: 'CANCELLED' });
  await reader.until(isCancelled);
  gate.open();
  await second.rest();
  await reader.until(({ __typename }) => __typename === 'ConversationUpdated');
  const after = await chat.read();
  expect(after.messages.map(({ content }) => content)).toEqual(['U1', 'A1', 'U2', 'A2']);
  expect(after.messages[0]?.branches).toEqual([{ content: 'U1' }, { content: 'U1 edited' }]);
});
