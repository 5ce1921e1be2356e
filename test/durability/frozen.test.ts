import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

/** Less than a lease lasts. */
const frozenMs = 3_000;

test('A process that was stopped for less than its lease goes on with its turn, and nobody has taken it over', {
  timeout: 240_000,
}, async () => {
  await using data = await createTestDataFolder();
  await using database = await createTestDatabase();
  await using other = await startTestApp({ databaseUrl: database.url });
  await using model = await createScriptedModel();
  const env = { DATABASE_URL: database.url, OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  await using frozen = await startServer(data.folder, env);
  const here = await openSocketClient(frozen, 'alice');
  const conversationId = await here.createConversation();
  const gate = createGate();
  model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate });
  const reader = here.chatTurn('ws', { conversationId });
  await reader.untilText('A b');
  process.kill(frozen.pid ?? 0, 'SIGSTOP');
  gate.open();
  await sleep(frozenMs);
  process.kill(frozen.pid ?? 0, 'SIGCONT');
  const events = await reader.rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['A b c']);
  const { run } = await here.ask(documents.run, { id: events[0]?.runId ?? '' });
  expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 0, messages: [{ content: 'A b c' }] });
  expect(other.model.requests).toEqual([]);
});
