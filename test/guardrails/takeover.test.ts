import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { answerModeration } from '../../src/demo/moderation.ts';
import { decide, refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { documents, openNewUser, openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

const app = shareApp();
/** Processes start and end, and a lease runs out. */
const room = 240_000;

const emails = { check: { pii: ['EMAIL'] }, action: 'REDACT', mode: 'HOLD_BACK', window: 40 };
const resultsOf = `query ($id: ID!) { run(id: $id) { status userMessage { content status } messages { content status }
  toolCalls { arguments editedArguments status } guardrailResults { guardrail stage tripwireTriggered }
  usage { modelCalls complete } } }`;

test('After kill -9 in a guarded run, the text of the user is not checked again, and nothing flagged was ever shown', {
  timeout: room,
}, async () => {
  const address = `bob.${randomUUID().slice(0, 8)}@example.com`;
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const asked: string[] = [];
  model.moderateWith((sent, ...rest) => {
    asked.push(JSON.stringify(sent));
    return answerModeration(sent, ...rest);
  });
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  await using first = await startServer(data.folder, env);
  const alice = await openSocketClient(first, 'alice');
  const moderation = { check: { moderation: {} } };
  const agentId = await alice.createAgent({
    tools: [],
    guardrails: [
      { name: 'before', stages: ['INPUT'], ...moderation },
      { name: 'mine', stages: ['INPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' },
      { name: 'beside', stages: ['INPUT'], ...moderation, mode: 'PARALLEL' },
      { name: 'shown', stages: ['OUTPUT'], ...emails },
    ],
  });
  const conversationId = await alice.createConversation({ agentId });
  const letters = [...`Dear reader, this goes on for a while and then says: ask ${address}, or her.`];
  model.add(
    { text: letters, delayMs: 2, afterTokens: letters.length - 8, gate: createGate() },
    { text: `Once more: ask ${address}, or her.` },
  );
  const reader = alice.chatTurn('ws', { conversationId, content: `I am ${address}`, idempotencyKey: 'k' });
  await reader.until('TextDelta');
  // The check beside the model has left its result.
  const runId = reader.events[0]?.runId ?? '';
  await expect.poll(() => asked.length).toBe(2);
  await first.end('SIGKILL');
  const seen = await reader.rest().catch(() => reader.events);

  await using second = await startServer(data.folder, env);
  const again = await openSocketClient(second, 'alice');
  const rest = await again.runEvents('ws', runId, seen.at(-1)?.seq).rest();
  expect(rest.at(-1)?.__typename).toBe('RunCompleted');
  const { run } = await again.ask(resultsOf, { id: runId });
  expect(run).toMatchObject({
    status: 'COMPLETED',
    userMessage: { content: 'I am [EMAIL]', status: 'REDACTED' },
    messages: [{ content: 'Once more: ask [EMAIL], or her.', status: 'REDACTED' }],
  });
  const names = run.guardrailResults.map(({ guardrail }: { guardrail: string }) => guardrail).sort();
  expect(names.filter((name: string) => name === 'before')).toHaveLength(1);
  expect(names.filter((name: string) => name === 'mine')).toHaveLength(1);
  // "before" was asked once; "beside" is asked again if its answer came only after the process had died.
  expect(asked.length).toBeLessThanOrEqual(3);
  expect(JSON.stringify([seen, rest, asked])).not.toContain(address);
  for (let after = 0; after <= (rest.at(-1)?.seq ?? 0); after++) {
    const later = await again.runEvents(after % 2 ? 'ws' : 'sse', runId, after).rest();
    expect(JSON.stringify(later)).not.toContain(address);
  }
});

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
    { text: [...`I ask ${address} first.`], calls: [refund('call_1', address)] },
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
  expect(run.toolCalls[0].arguments).not.toContain(address);
  expect(run.guardrailResults.filter((each: { stage: string }) => each.stage === 'INPUT')).toHaveLength(1);
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
