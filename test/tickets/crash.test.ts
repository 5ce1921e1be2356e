import { expect, test } from 'vitest';
import { openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

const subjects = Array.from({ length: 12 }, (_, n) => `Ticket of call ${n}`);

test('kill -9 while an agent opens tickets: after the next start each call has opened one, and none a second', {
  timeout: 240_000,
}, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  await using first = await startServer(data.folder, env);
  const alice = await openSocketClient(first, 'alice');
  const conversationId = await alice.createConversation({});
  const calls = subjects.map((subject) => ({ name: 'create_ticket', arguments: { subject, body: 'As asked.' } }));
  model.add({ calls });
  const reader = alice.chatTurn('ws', { conversationId, content: 'Open them all' });
  // Some calls have ended, others are under way.
  await reader.until('ToolCallCompleted');
  const runId = reader.events[0]?.runId ?? '';
  await first.end('SIGKILL');
  await reader.rest().catch(() => reader.events);

  model.add({ text: 'Done.' });
  await using second = await startServer(data.folder, env);
  const again = await openSocketClient(second, 'alice');
  expect((await again.runEvents('ws', runId).rest()).at(-1)?.__typename).toBe('RunCompleted');
  const { run, tickets } = await again.ask(
    `query ($id: ID!) {
      run(id: $id) { resumedCount toolCalls { status } }
      tickets(first: 50) { edges { node { number subject } } }
    }`,
    { id: runId },
  );
  expect(run.resumedCount).toBe(1);
  expect(run.toolCalls).toEqual(subjects.map(() => ({ status: 'SUCCEEDED' })));
  const opened = tickets.edges.map(({ node }: { node: { number: number; subject: string } }) => node);
  expect(opened.map(({ subject }: { subject: string }) => subject).sort()).toEqual(subjects.toSorted());
  expect(new Set(opened.map(({ number }: { number: number }) => number)).size).toBe(subjects.length);
});
