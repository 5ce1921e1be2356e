import { expect, test } from 'vitest';
import { recoverRuns } from '../../src/runs/upkeep/recover.ts';
import { openIdleInstances } from '../instances/open-instances.ts';
import { documents } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { serve } from './support.ts';

// A process dies while it reads a file by URL, and another one reads it.

const secret = 'forbidden-9f31';
const guardrails = [{ name: 'guard', stages: ['INPUT'], action: 'BLOCK', check: { patterns: ['forbidden-\\w+'] } }];

/** Two instances, and a server whose file says something on the second visit only: the first one hangs. */
async function openTwo(opening: AsyncDisposableStack, says: string) {
  const files = opening.use(
    await serve((_request, response) => {
      if (files.visits.length > 1) response.end(says);
    }),
  );
  const instances = opening.use(
    await openIdleInstances(2, {
      ...{ ATTACHMENT_FETCH: 'true', MODEL_ALLOWED_HOSTS: `127.0.0.1:${files.port}/`, DRAIN_SECONDS: '0' },
    }),
  );
  const [dead, other] = instances;
  if (!dead || !other) throw new Error('There are two.');
  const attachments = [{ name: 'a.txt', type: 'text/plain', url: `${files.url}/a.txt`, size: 10 }];
  return {
    ...{ dead, other, attachments },
    /** As at a start after kill -9: what the rows say of the former owner is the same. @returns how the run ends there */
    async takeOver(id: string) {
      await expect.poll(() => files.visits.length).toBe(1);
      await recoverRuns(other.app.runs, { all: true });
      const events = await other.alice.runEvents('ws', id).rest();
      const { run } = await other.alice.ask(
        `query ($id: ID!) { run(id: $id) { status resumedCount error { code } userMessage { status }
          guardrailResults { guardrail tripwireTriggered } } }`,
        { id },
      );
      return { run, types: events.map(({ __typename }) => __typename) };
    },
  };
}

test('That a guardrail has checked a file does not stand for the text beside it, of an agent that had none when it was sent', async () => {
  await using opening = new AsyncDisposableStack();
  const { dead, other, attachments, takeOver } = await openTwo(opening, 'A fine text.');
  const { alice } = dead;
  const agentId = await alice.createAgent({ tools: [] });
  const conversationId = await alice.createConversation({ agentId });
  const gate = createGate();
  dead.model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate });
  const first = alice.chatTurn('ws', { conversationId });
  await first.untilText('Let me');
  const input = { conversationId, content: `It is ${secret}`, attachments, ifBusy: 'ENQUEUE', idempotencyKey: 'k' };
  const { startRun } = await alice.ask(documents.startRun, { input });
  await alice.ask('mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }', {
    id: agentId,
    input: { guardrails },
  });
  gate.open();
  await first.rest();
  const { run, types } = await takeOver(startRun.id);
  expect(other.model.requests).toEqual([]);
  expect(run).toMatchObject({
    ...{ status: 'FAILED', resumedCount: 1, error: { code: 'GUARDRAIL_TRIPPED' }, userMessage: { status: 'BLOCKED' } },
  });
  // One for the file, one for the text.
  expect(run.guardrailResults).toEqual([
    { guardrail: 'guard', tripwireTriggered: false },
    { guardrail: 'guard', tripwireTriggered: true },
  ]);
  expect(types.slice(-2)).toEqual(['GuardrailTripped', 'RunFailed']);
});

test('Readers are told what a guardrail finds in a file that is read after the takeover, once', async () => {
  await using opening = new AsyncDisposableStack();
  const { dead, other, attachments, takeOver } = await openTwo(opening, `It says ${secret}.`);
  const agentId = await dead.alice.createAgent({ tools: [], guardrails });
  const conversationId = await dead.alice.createConversation({ agentId });
  const input = { conversationId, content: 'Read', attachments, idempotencyKey: 'k' };
  const { startRun } = await dead.alice.ask(documents.startRun, { input });
  const { run, types } = await takeOver(startRun.id);
  expect(other.model.requests).toEqual([]);
  expect(run).toMatchObject({ status: 'FAILED', resumedCount: 1, error: { code: 'GUARDRAIL_TRIPPED' } });
  // One for the text, one for the file.
  expect(run.guardrailResults).toEqual([
    { guardrail: 'guard', tripwireTriggered: false },
    { guardrail: 'guard', tripwireTriggered: true },
  ]);
  expect(types.filter((type) => type === 'GuardrailTripped')).toHaveLength(1);
  expect(types.slice(-2)).toEqual(['GuardrailTripped', 'RunFailed']);
});
