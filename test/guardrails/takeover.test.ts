import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { answerModeration } from '../../src/demo/moderation.ts';
import { openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

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
  await expect.poll(() => asked.length, { timeout: 30_000 }).toBe(2);
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
  // After each event: whoever takes a run over leaves out a block of numbers.
  for (const [index, after] of [0, ...[...seen, ...rest].map(({ seq }) => seq)].entries()) {
    const later = await again.runEvents(index % 2 ? 'ws' : 'sse', runId, after).rest();
    expect(JSON.stringify(later)).not.toContain(address);
  }
});
