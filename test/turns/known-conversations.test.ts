import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

// A process that has just written a conversation does not read it to start its next turn. Another instance may have changed
// it in the meantime: here the rows are changed behind the back of the process.

let app: TestApp;
const rowId = (id: string) => id.slice(id.indexOf('_') + 1);
const document = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
const model = 'mutation ($m: String) { updateChatSettings(input: { model: $m }) { model } }';

beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

/** A conversation that the process remembers, and the ids of two agents of its user. */
async function openPlain() {
  const chat = await openChat(app, {});
  const agents = [await chat.createAgent({ name: 'first' }), await chat.createAgent({ name: 'second' })];
  return { ...chat, agents, id: rowId(chat.conversationId) };
}

const answeringAgent = async (runId: string | undefined) =>
  (await app.app.db.run.findUniqueOrThrow({ where: { id: rowId(runId ?? '') } })).agentId;

test('A turn of a conversation that was changed elsewhere since is answered by the agent that it has now', async () => {
  const { conversationId, agents, id, readToEnd } = await openPlain();
  const changed = rowId(agents[1] ?? '');
  await app.app.db.conversation.update({ where: { id }, data: { activeAgentId: changed, followsDefault: false } });
  app.model.add({ text: 'One.' }, { text: 'Two.' });
  const first = await readToEnd('Hello');
  expect(await answeringAgent(first[0]?.runId)).toBe(changed);
  // Also after a turn, when it is remembered again.
  const other = rowId(agents[0] ?? '');
  await app.app.db.conversation.update({ where: { id }, data: { activeAgentId: other } });
  const second = await readToEnd('Hello again', { conversationId });
  expect(await answeringAgent(second[0]?.runId)).toBe(other);
});

test('A turn of a user whose settings were changed since is carried out with them', async () => {
  const chat = await openPlain();
  await chat.ask(model, { m: 'scripted-other' }).catch(() => {});
  const settings = await app.app.db.chatSettings.findMany({ where: { model: 'scripted-other' } });
  expect(settings).toHaveLength(1);
  app.model.add({ text: 'Yes.' });
  await chat.readToEnd('Hello');
  expect(app.model.requests.at(-1)).toMatchObject({ model: 'scripted-other' });
});

test('A turn of a conversation that was deleted elsewhere since is NOT_FOUND, and one of somebody else’s is FORBIDDEN', async () => {
  const { conversationId, id, token } = await openPlain();
  const stranger = await openChat(app, {});
  const start = async (who: string) => {
    const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
    const { errors } = await app.query(document, { input }, { token: who });
    return errors?.map(({ extensions }) => extensions?.code);
  };
  expect(await start(stranger.token)).toEqual(['FORBIDDEN']);
  await app.app.db.conversation.delete({ where: { id } });
  expect(await start(token)).toEqual(['NOT_FOUND']);
});

test('A key that has started a turn of a remembered conversation starts no second one', async () => {
  const { id, say, readToEnd } = await openPlain();
  const gate = createGate();
  app.model.add({ text: ['Only', ' once.'], afterTokens: 1, gate });
  const idempotencyKey = randomUUID();
  const first = say('Hello', { idempotencyKey });
  await first.untilText('Only');
  const again = readToEnd('Hello', { idempotencyKey });
  gate.open();
  expect((await again).at(-1)).toEqual((await first.rest()).at(-1));
  const later = await readToEnd('Hello', { idempotencyKey });
  expect(later.at(-1)?.__typename).toBe('RunCompleted');
  expect(await app.app.db.run.count({ where: { conversationId: id } })).toBe(1);
});
