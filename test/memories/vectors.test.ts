import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test, vi } from 'vitest';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { shareApp } from '../support/app.ts';
import { openChat, type SocketClient } from '../support/chat.ts';

const app = shareApp({ env: { MEMORY: 'all', EMBEDDING_MODEL: 'test-embedding' } });
type Chat = Awaited<ReturnType<typeof openChat>>;

/** What the texts of the tests are about: each has a direction of its own. */
const topics = [/nuts|eat/, /lisbon|live/, /cello|music/];
const asked: string[][] = [];
let isDown = false;

/** A vector of the topics of a text; what has none, such as the probe, points elsewhere. */
const meaningOf = (text: string) => {
  const parts = topics.map((topic) => (topic.test(text.toLowerCase()) ? 1 : 0));
  const all = [...parts, parts.includes(1) ? 0.1 : 1];
  const length = Math.hypot(...all);
  return all.map((part) => part / length);
};

beforeEach(() => {
  isDown = false;
  asked.length = 0;
  vi.spyOn(app.app.search.vectors.deps.port, 'embed').mockImplementation(async (_endpoint, texts) => {
    if (isDown) throw new Error('It is away.');
    asked.push(texts.slice(0, -1));
    return texts.map(meaningOf);
  });
  return () => vi.restoreAllMocks();
});

const open = (claims = {}) =>
  openChat(app, {}, { sub: `user-${randomUUID()}`, tenant: `t-${randomUUID()}`, ...claims });
const save = async (user: SocketClient, text: string, id?: string): Promise<string> =>
  (
    await user.ask('mutation ($id: ID, $text: String!) { saveMemory(id: $id, text: $text) { id } }', {
      text,
      ...(id !== undefined && { id }),
    })
  ).saveMemory.id;

/** What an agent of the user recalls. */
async function recall(chat: Chat, query: string): Promise<string[]> {
  const agentId = await chat.createAgent({ tools: ['recall'] });
  app.model.add({ calls: [{ name: 'recall', arguments: { query } }] }, { text: 'Yes.' });
  const events = await chat.readToEnd('Hello', { agentId });
  const { run } = await chat.ask('query ($id: ID!) { run(id: $id) { toolCalls { status result } } }', {
    id: events[0]?.runId,
  });
  expect(run.toolCalls).toMatchObject([{ status: 'SUCCEEDED' }]);
  return run.toolCalls[0].result.memories.map((memory: string) => memory.replace(/^.* \| \d{4}-\d\d-\d\d: /, ''));
}

const vectors = async (userId: string) => {
  const rows = await app.app.db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM memory_vectors AS v
    JOIN memories AS m ON m.tenant_id = v.tenant_id AND m.id = v.memory_id WHERE m.user_id = ${userId}`;
  return rows[0]?.count;
};

test('What means the same is found without a word in common, each text is embedded once, and a change anew', async () => {
  const sub = `user-${randomUUID()}`;
  const chat = await open({ sub });
  const nuts = await save(chat, 'Allergic to hazelnuts.');
  await save(chat, 'Lisbon is home.');
  await save(chat, 'Plays the cello.');
  if (!app.app.search.vectors.isAvailable) return expect(await recall(chat, 'hazelnuts')).not.toEqual([]);
  expect(await recall(chat, 'What may I eat?')).toEqual(['Allergic to hazelnuts.']);
  expect(asked).toEqual([['What may I eat?'], ['Plays the cello.', 'Lisbon is home.', 'Allergic to hazelnuts.']]);
  expect(await recall(chat, 'Where do I live?')).toEqual(['Lisbon is home.']);
  expect(asked).toHaveLength(3);
  // By its words and by its meaning: what is found by both comes first.
  expect(await recall(chat, 'home music cello')).toEqual(['Plays the cello.', 'Lisbon is home.']);
  await save(chat, 'Learns to like music.', nuts);
  expect(await recall(chat, 'What may I eat?')).not.toContain('Learns to like music.');
  expect(asked.at(-1)).toEqual(['Learns to like music.']);
  expect(await vectors(sub)).toBe(3);
});

test('No vector leads to what another user, or another tenant, remembers', async () => {
  const sub = `user-${randomUUID()}`;
  const tenant = `t-${randomUUID()}`;
  const owner = await open({ sub, tenant });
  await save(owner, 'Allergic to hazelnuts.');
  await recall(owner, 'What may I eat?');
  for (const claims of [{ tenant }, { sub }]) {
    const other = await open(claims);
    await save(other, 'Lisbon is home.');
    expect(await recall(other, 'What may I eat?')).not.toContain('Allergic to hazelnuts.');
  }
});

test('While the provider is away words alone are searched for, and what it has missed is embedded later', async () => {
  const sub = `user-${randomUUID()}`;
  const chat = await open({ sub });
  await save(chat, 'Allergic to hazelnuts.');
  isDown = true;
  expect(await recall(chat, 'What may I eat?')).toEqual([]);
  expect(await recall(chat, 'hazelnuts')).toEqual(['Allergic to hazelnuts.']);
  isDown = false;
  if (!app.app.search.vectors.isAvailable) return;
  expect(await recall(chat, 'What may I eat?')).toEqual(['Allergic to hazelnuts.']);
  expect(await vectors(sub)).toBe(1);
});

test('Vectors of another model are compared with none, and are replaced; those of a user who is erased are gone', async () => {
  const sub = `user-${randomUUID()}`;
  const tenant = `t-${randomUUID()}`;
  const chat = await open({ sub, tenant });
  await save(chat, 'Allergic to hazelnuts.');
  expect(await recall(chat, 'hazelnuts')).toEqual(['Allergic to hazelnuts.']);
  if (!app.app.search.vectors.isAvailable) return;
  await app.app.db.$executeRaw`UPDATE memory_vectors SET model_key = 'another' WHERE tenant_id = ${tenant}`;
  asked.length = 0;
  expect(await recall(chat, 'What to eat?')).toEqual(['Allergic to hazelnuts.']);
  expect(asked).toEqual([['What to eat?'], ['Allergic to hazelnuts.']]);
  const row = await app.app.db.$queryRaw<{ model: string }[]>`
    SELECT model_key AS model FROM memory_vectors WHERE tenant_id = ${tenant}`;
  expect(row).toEqual([{ model: expect.not.stringMatching('another') }]);
  await eraseUser(app.app.db, { tenantId: tenant, userId: sub }, () => {});
  expect(await app.app.db.$queryRaw`SELECT 1 FROM memory_vectors WHERE tenant_id = ${tenant}`).toEqual([]);
});
