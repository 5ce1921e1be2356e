import { expect, test } from 'vitest';
import { refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { EventStream } from './feed-reader.ts';

const app = shareApp();

const isMatch = (value: unknown, expected: object): boolean => expect.objectContaining(expected).asymmetricMatch(value);

const fields = `id messageCount updatedAt usage { totalTokens } activeRun { id status toolCalls { id status result } }`;
const feedDocument = `subscription ($id: ID!, $after: Int!) { conversationEvents(conversationId: $id, after: $after) {
  __typename seq conversationId
  ... on RunChanged { conversation { ${fields} } } ... on MessageAdded { conversation { ${fields} } } } }`;
const readDocument = `query ($id: ID!) { viewer { lastEventSeq } conversation(id: $id) { ${fields} } }`;

test('When a message begins, and when a call changes its status, an event brings the conversation as a fresh read has it', async () => {
  const chat = await openChat(app, 'support');
  const { conversationId: id } = chat;
  const { viewer } = await chat.ask(readDocument, { id });
  await using reader = new EventStream(app, chat.token, feedDocument, { id, after: viewer.lastEventSeq });
  /** Reads on until an event brings it, and expects that a fresh read says the same: nothing changes in between. */
  const expectEvent = async (expected: object) => {
    const events = await reader.until(({ conversation }) => isMatch(conversation, expected));
    expect(events.at(-1)?.conversation).toEqual((await chat.ask(readDocument, { id })).conversation);
  };
  const [writing, answering] = [createGate(), createGate()];
  app.model.add(
    { calls: [{ name: 'transfer_to_billing', arguments: {} }] },
    { text: 'I begin.', calls: [refund('call_0', '1042')], gate: writing, afterTokens: 1 },
    { text: 'It is done.', gate: answering, afterTokens: 1 },
  );
  const turn = chat.say('Refund 1042, please');
  await writing.reached;
  await expectEvent({ messageCount: 2 });
  writing.open();
  const { toolCall } = await turn.until('ApprovalRequested');
  await chat.ask('mutation ($id: ID!) { approveToolCall(toolCallId: $id, approve: true) { id } }', {
    id: toolCall?.id,
  });
  await answering.reached;
  await expectEvent({
    messageCount: 3,
    activeRun: expect.objectContaining({ toolCalls: [expect.objectContaining({ status: 'SUCCEEDED' })] }),
  });
  answering.open();
  await turn.rest();
  await expectEvent({ activeRun: null });
});

test('Each state of a call that runs without an approval has an event of its own', async () => {
  const chat = await openChat(app, 'support');
  const { viewer } = await chat.ask('{ viewer { lastEventSeq } }');
  app.model.add(
    { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
    { text: 'I look.', calls: [{ id: 'call_0', name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
    { text: 'On its way.' },
  );
  await chat.readToEnd('Where is 1042?');
  const rows = await app.app.db.feedEvent.findMany({
    where: { conversationId: chat.conversationId.slice('conv_'.length), seq: { gt: viewer.lastEventSeq } },
    orderBy: { seq: 'asc' },
  });
  // The events in brackets are those of messages that begin: only those that take a while have one.
  const events = [
    'ConversationUpdated', // the title
    'MessageAdded', // the question
    'RunChanged', // created
    'AgentSwitched',
    '(RunChanged )?MessageAdded',
    'RunChanged', // the call runs
    'RunChanged', // the call has succeeded
    '(RunChanged )?MessageAdded',
    'RunChanged', // completed
  ];
  expect(rows.map(({ type }) => type).join(' ')).toMatch(new RegExp(`^${events.join(' ')}$`));
});
