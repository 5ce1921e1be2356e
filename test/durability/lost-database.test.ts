import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

test('A server whose embedded database dies ends with it and says so; started again, it goes on with the turn', {
  timeout: 240_000,
}, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  let runId = '';
  {
    await using server = await startServer(data.folder, env);
    const alice = await openSocketClient(server, 'alice');
    const conversationId = await alice.createConversation();
    model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
    const reader = alice.chatTurn('ws', { conversationId });
    runId = (await reader.untilText('A')).runId;
    const [, database] = (await readFile(join(data.folder, 'postgres.pid'), 'utf8')).split('\n');
    process.kill(Number(database), 'SIGKILL');
    await reader.rest().catch(() => {});
    expect(await server.exited).toBe(1);
    expect(server.said()).toContain('the embedded database ended');
  }
  model.add({ text: 'A whole answer.' });
  await using again = await startServer(data.folder, env);
  const alice = await openSocketClient(again, 'alice');
  const events = await alice.runEvents('sse', runId).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['A whole answer.']);
  const { run } = await alice.ask(documents.run, { id: runId });
  expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1 });
});
