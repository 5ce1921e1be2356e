import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { resolveAgents } from '../../src/agents/resolve.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { shareApp } from '../support/app.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model/script.ts';

const viewer: Viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
const fields = ['llm', 'tts', 'stt'].map((kind) => `${kind} { apiUrl apiKeyHint keyDropped }`).join(' ');

const app = shareApp({ env: { MODEL_ALLOWED_HOSTS: '127.0.0.1', OPENAI_API_KEY: 'sk-environment-0123' } });
let alice: SocketClient;

beforeAll(async () => {
  alice = await openSocketClient(app, 'alice');
});

const create = async (input: Record<string, unknown>) =>
  (
    await alice.ask(`mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id ${fields} } }`, {
      input: { name: 'keyed', instructions: 'Hi.', ...input },
    })
  ).createAgent;
const update = async (id: string, input: Record<string, unknown>) =>
  (
    await alice.ask(
      `mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id ${fields} } }`,
      { id, input },
    )
  ).updateAgent;
/** The keys as turns and speech would send them. */
const keysOf = async (id: string) => {
  const row = id.slice(4);
  const resolved = (await resolveAgents(viewer, app.app.runs.agents, [row])).get(row);
  return { llm: resolved?.llm?.apiKey, tts: resolved?.tts?.apiKey, stt: resolved?.stt?.apiKey };
};

describe.each(['llm', 'tts', 'stt'] as const)('the key of %s', (kind) => {
  const at = (apiUrl: string, rest: object = {}) => ({
    [kind]: { provider: 'custom', model: 'm', apiUrl, ...rest },
  });
  const first = 'sk-0123456789-first';
  const second = 'sk-0123456789-secnd';

  test('The key stays if an update has none and the origin stays; its loss is reported', async () => {
    const { id, ...made } = await create(at('https://a.example.com/v1', { apiKey: first }));
    expect(made[kind]).toMatchObject({ apiKeyHint: 'irst', keyDropped: false });
    expect((await keysOf(id))[kind]).toBe(first);
    // The same host on another path, absent and null alike.
    for (const rest of [{}, { apiKey: null }, { model: 'other' }]) {
      const kept = await update(id, at('https://a.example.com/v2', rest));
      expect(kept[kind]).toEqual({ apiUrl: 'https://a.example.com/v2', apiKeyHint: 'irst', keyDropped: false });
      expect((await keysOf(id))[kind]).toBe(first);
    }
    for (const apiUrl of [
      'https://b.example.com/v1',
      'http://a.example.com/v1',
      'https://a.example.com:8443/v1',
      'https://a.example.com.evil.example/v1',
    ]) {
      await update(id, at('https://a.example.com/v1', { apiKey: first }));
      const moved = await update(id, at(apiUrl));
      expect(moved[kind]).toEqual({ apiUrl, apiKeyHint: null, keyDropped: true });
      expect((await keysOf(id))[kind]).toBe('');
      expect(await app.app.db.secret.count({ where: { agentId: id.slice(4) } })).toBe(0);
    }
    // It says so until it has one again; going back does not bring it back.
    const back = await update(id, at('https://a.example.com/v1'));
    expect(back[kind]).toMatchObject({ apiKeyHint: null, keyDropped: true });
    expect((await keysOf(id))[kind]).toBe('');
    const again = await update(id, at('https://a.example.com/v1', { apiKey: second }));
    expect(again[kind]).toMatchObject({ apiKeyHint: 'ecnd', keyDropped: false });
    expect((await keysOf(id))[kind]).toBe(second);
  });

  test('A new key replaces the old one; an empty one or another provider removes it; no other agent has it', async () => {
    const other = kind === 'llm' ? 'tts' : 'llm';
    const { id } = await create({
      ...at('https://a.example.com/v1', { apiKey: first }),
      [other]: { provider: 'groq', model: 'm', apiKey: 'gsk-0123456789-othr' },
    });
    const moved = await update(id, at('https://b.example.com/v1', { apiKey: second }));
    expect(moved[kind]).toMatchObject({ apiKeyHint: 'ecnd', keyDropped: false });
    expect(await keysOf(id)).toMatchObject({ [kind]: second, [other]: 'gsk-0123456789-othr' });
    const emptied = await update(id, at('https://b.example.com/v1', { apiKey: '' }));
    expect(emptied[kind]).toMatchObject({ apiKeyHint: null, keyDropped: false });
    expect(emptied[other]).toMatchObject({ apiKeyHint: 'othr' });
    await update(id, at('https://b.example.com/v1', { apiKey: second }));
    await update(id, { [kind]: null });
    expect(await app.app.db.secret.findMany({ where: { agentId: id.slice(4) }, select: { name: true } })).toEqual([
      { name: other },
    ]);
  });
});

describe('a key that is sent', () => {
  async function openModels() {
    const stack = new AsyncDisposableStack();
    const [here, there]: ScriptedModel[] = [
      stack.use(await createScriptedModel()),
      stack.use(await createScriptedModel()),
    ];
    if (!here || !there) throw new Error('There are two.');
    return { here, there, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }
  async function turn(agentId: string) {
    const conversationId = await alice.createConversation({ agentId });
    const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
    return (await alice.ask(documents.sendMessage, { input })).sendMessage;
  }

  test('A key goes to its own host; no key goes to another host, the environment’s neither', async () => {
    await using models = await openModels();
    const { here, there } = models;
    const llm = { provider: 'custom', model: 'm', api: 'CHAT_COMPLETIONS' };
    const { id } = await create({ llm: { ...llm, apiUrl: here.url, apiKey: 'sk-0123456789-here' } });
    here.add({ text: 'Here.' });
    expect((await turn(id)).status).toBe('COMPLETED');
    expect(here.requests[0]?.headers.authorization).toBe('Bearer sk-0123456789-here');
    await update(id, { llm: { ...llm, apiUrl: there.url } });
    there.add({ text: 'There.' });
    expect((await turn(id)).status).toBe('COMPLETED');
    expect(JSON.stringify(there.requests[0]?.headers)).not.toMatch(/sk-0123456789-here|sk-environment/);
  });

  test('No key is sent for an agent that was moved by hand', async () => {
    await using models = await openModels();
    const { here, there } = models;
    const llm = { provider: 'custom', model: 'm', api: 'CHAT_COMPLETIONS' };
    const { id } = await create({ llm: { ...llm, apiUrl: here.url, apiKey: 'sk-0123456789-here' } });
    const row = id.slice(4);
    const { db, runs } = app.app;
    // The address alone, then the origin of the key as well.
    await db.agent.update({ where: { id: row }, data: { llm: { ...llm, apiUrl: there.url } } });
    runs.agents.config.clear();
    there.add({ text: 'One.' }, { text: 'Two.' });
    expect((await turn(id)).status).toBe('COMPLETED');
    await db.secret.updateMany({ where: { agentId: row }, data: { origin: new URL(there.url).origin } });
    runs.agents.config.clear();
    expect((await turn(id)).status).toBe('COMPLETED');
    expect(JSON.stringify(there.requests.map(({ headers }) => headers))).not.toContain('sk-0123456789-here');
    expect(app.logs.some(({ msg }) => /tampered/.test(msg))).toBe(true);
  });
});

test('Hints of keys come with the agents of a list, in no more statements', async () => {
  const counted = async (document: string) => {
    const requestId = randomUUID();
    const { data, errors } = await app.query(document, {}, { headers: { 'x-request-id': requestId } });
    expect(errors).toEqual([]);
    const line = app.logs.find((entry) => entry.requestId === requestId && entry.statements !== undefined);
    return { data, statements: Number(line?.statements) };
  };
  const list = (selection: string) => `{ agents(first: 100) { edges { node { name ${selection} } } } }`;
  for (let n = 0; n < 10; n++) {
    await create({ llm: { provider: 'groq', model: 'm', apiKey: `gsk-0123456789-000${n}` } });
  }
  const bare = await counted(list(''));
  const { data, statements } = await counted(list(fields));
  expect(statements).toBe(bare.statements);
  const hints = data.agents.edges.map((edge: { node: { llm: { apiKeyHint: string } } }) => edge.node.llm.apiKeyHint);
  expect(hints).toEqual(expect.arrayContaining(['0000', '0009']));
});
