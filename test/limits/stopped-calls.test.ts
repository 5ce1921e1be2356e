import { describe, expect, test } from 'vitest';
import { recoverRuns, takeReleasedRuns } from '../../src/runs/upkeep/recover.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const env = { TOKEN_BUDGET_PER_USER_DAILY: '100000' };
/** A quarter of its characters are 275 tokens. */
const question = 'a question '.repeat(100);
const isEstimate = (tokens: number | null) => tokens !== null && tokens > 275 && tokens < 5_000;
const unknown = { inputTokens: 0, outputTokens: 0, complete: false, budgetTokens: expect.toSatisfy(isEstimate) };
const budget = '{ viewer { tokenBudgets { usedTokens } } }';

test('A turn that is cancelled before the first token counts: its model has been sent the prompt', async () => {
  await using limited = await startTestApp({ env, steps: [{ text: 'one', afterTokens: 0, gate: createGate() }] });
  const alice = await openChat(limited);
  const turn = alice.say(question);
  const { runId } = await turn.until('RunStarted');
  await limited.model.received(1);
  await alice.ask(documents.cancelRun, { id: runId });
  expect((await turn.rest()).at(-1)?.__typename).toBe('RunCancelled');
  const rows = await limited.app.db.modelCall.findMany();
  expect(rows).toMatchObject([{ ...unknown, timeToFirstTokenMs: null }]);
  const { run } = await alice.ask('query ($id: ID!) { run(id: $id) { usage { modelCalls complete } } }', { id: runId });
  expect(run.usage).toEqual({ modelCalls: 1, complete: false });
  const { viewer } = await alice.ask(budget);
  expect(viewer.tokenBudgets).toEqual([{ usedTokens: rows[0]?.budgetTokens }]);
});

test('A call that its provider refuses has cost nothing, nor has one that was cancelled before it was sent', async () => {
  const status = { status: 401, body: { error: { message: 'no', code: 'invalid_api_key' } } };
  const gate = createGate();
  await using limited = await startTestApp({
    env,
    steps: [{ misbehave: status }, { text: ['one', ' two'], afterTokens: 1, gate }],
  });
  const alice = await openChat(limited);
  expect((await alice.readToEnd(question)).at(-1)?.__typename).toBe('RunFailed');
  const first = alice.say('hi');
  await first.untilText('one');
  const queued = alice.say(question, { ifBusy: 'ENQUEUE' });
  const { runId } = await queued.until('RunQueued');
  await alice.ask(documents.cancelRun, { id: runId });
  await queued.rest();
  gate.open();
  await first.rest();
  expect(await limited.app.db.modelCall.findMany()).toMatchObject([{ complete: true, budgetTokens: null }]);
});

describe.each([
  { how: 'is handed over', afterTokens: 0 },
  { how: 'is handed over', afterTokens: 1 },
  { how: 'is taken over from a process that has died', afterTokens: 0 },
  { how: 'is taken over from a process that has died', afterTokens: 1 },
])('A turn that $how after $afterTokens tokens', ({ how, afterTokens }) => {
  test('It counts the model call that was under way, once, and the one that answers', { timeout: 60_000 }, async () => {
    await using database = await createTestDatabase();
    const open = () => startTestApp({ databaseUrl: database.url, env: { ...env, DRAIN_SECONDS: '0' } });
    await using one = await open();
    await using two = await open();
    one.model.add({ text: ['one', ' two'], afterTokens, gate: createGate() });
    two.model.add({ text: 'A whole answer.', usage: { inputTokens: 300, outputTokens: 5 } });
    const here = await openSocketClient(one, 'alice');
    const conversationId = await here.createConversation();
    const { startRun } = await here.ask(documents.startRun, {
      input: { conversationId, content: question, idempotencyKey: 'k' },
    });
    await one.model.received(1);
    if (how === 'is handed over') {
      await one.app.close();
      await takeReleasedRuns(two.app.runs);
    } else {
      // As at a start after kill -9: what the rows say of the former owner is the same.
      await recoverRuns(two.app.runs, { all: true });
    }
    const there = await openSocketClient(two, 'alice');
    expect((await there.runEvents('ws', startRun.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
    const rows = await two.app.db.modelCall.findMany({ orderBy: { complete: 'asc' } });
    expect(rows).toMatchObject([unknown, { complete: true, inputTokens: 300, outputTokens: 5, budgetTokens: null }]);
    const { viewer } = await there.ask(budget);
    expect(viewer.tokenBudgets).toEqual([{ usedTokens: (rows[0]?.budgetTokens ?? 0) + 305 }]);
  });
});
