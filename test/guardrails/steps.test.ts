import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { answerModeration } from '../../src/demo/moderation.ts';
import { decide, refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { documents, openNewUser } from '../support/chat.ts';

const app = shareApp();

const emails = { check: { pii: ['EMAIL'] }, action: 'REDACT', mode: 'HOLD_BACK', window: 40 };
const resultsOf = `query ($id: ID!) { run(id: $id) { status userMessage { content status } messages { content status }
  toolCalls { arguments editedArguments status } guardrailResults { guardrail stage tripwireTriggered }
  usage { modelCalls complete } } }`;

test('A guarded run that waits for an approval goes on: its text is not checked again, and what follows is', async () => {
  const address = `bob.${randomUUID().slice(0, 8)}@example.com`;
  const user = await openNewUser(app);
  const agentId = await user.createAgent({
    tools: ['refund_order'],
    guardrails: [
      { name: 'input', stages: ['INPUT'], check: { moderation: {} }, mode: 'PARALLEL' },
      { name: 'calls', stages: ['TOOL_INPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' },
      { name: 'shown', stages: ['OUTPUT'], ...emails },
    ],
  });
  const conversationId = await user.createConversation({ agentId });
  let asked = 0;
  app.model.moderateWith((...request) => {
    asked += 1;
    return answerModeration(...request);
  });
  app.model.add(
    { text: [...`I ask ${address} first.`], calls: [refund('call_1')] },
    {
      text: [...`Refunded, says ${address}.`],
      expect: ({ body }) => expect(JSON.stringify(body)).not.toContain(address),
    },
  );
  const reader = user.chatTurn('ws', { conversationId, content: 'Refund 1042' });
  const requested = await reader.until('ApprovalRequested');
  await decide(user, requested.runId, 'call_1');
  await reader.rest();
  app.model.moderateWith(answerModeration);
  const { run } = await user.ask(resultsOf, { id: requested.runId });
  expect(run.messages).toEqual([
    { content: 'I ask [EMAIL] first.', status: 'REDACTED' },
    { content: 'Refunded, says [EMAIL].', status: 'REDACTED' },
  ]);
  expect(run.toolCalls).toMatchObject([{ status: 'SUCCEEDED' }]);
  for (const stage of ['INPUT', 'TOOL_INPUT'])
    expect(run.guardrailResults.filter((each: { stage: string }) => each.stage === stage)).toHaveLength(1);
  expect(asked).toBe(1);
  expect(JSON.stringify(reader.events)).not.toContain(address);
  const { conversation } = await user.ask(documents.conversation, { id: conversationId });
  expect(JSON.stringify(conversation)).not.toContain(address);
});

test('What is flagged is found across two deltas, and in each of two model steps', async () => {
  const user = await openNewUser(app);
  const agentId = await user.createAgent({
    tools: ['lookup_order'],
    guardrails: [{ name: 'words', stages: ['OUTPUT'], check: { patterns: ['sword ?fish'] }, ...{ mode: 'HOLD_BACK' } }],
  });
  const conversationId = await user.createConversation({ agentId });
  app.model.add(
    { text: ['A sw', 'ord. '], calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
    { text: ['It says swo', 'rdf', 'ish. Bye.'] },
  );
  const events = await user.chatTurn('ws', { conversationId, content: 'Say it' }).rest();
  expect(events.at(-1)?.__typename).toBe('RunFailed');
  const { run } = await user.ask(resultsOf, { id: events[0]?.runId });
  expect(run.messages[0]).toEqual({ content: 'A sword. ', status: 'COMPLETE' });
  expect(JSON.stringify([events, run])).not.toContain('swordfish');
  app.model.add({
    text: 'Hi.',
    expect: ({ messages }) => expect(messages).toHaveLength(1),
  });
  await user.chatTurn('ws', { conversationId, content: 'Hello' }).rest();
});
