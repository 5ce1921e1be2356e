import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, shareApp, startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';

const app = shareApp();
let alice: string;
let bob: string;
let admin: string;
let stranger: string;

beforeAll(async () => {
  alice = await app.token({ sub: 'alice' });
  bob = await app.token({ sub: 'bob' });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
  stranger = await app.token({ sub: 'root', tenant: 'elsewhere', roles: ['admin'] });
  for (const token of [alice, bob, admin, stranger]) await ask(token, '{ viewer { userId } }');
});

async function ask(token: string, document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token });
  expect(errors).toEqual([]);
  return data;
}

const failed = ({ errors: [error] }: HttpAnswer) => ({ message: error?.message, ...error?.extensions });

const fields = `id name description instructions isDefault isActive isShared tools { name } createdAt updatedAt
  llm { provider model apiUrl api completionsPath apiKeyHint keyDropped options }
  tts { provider model voice apiUrl sampleRate apiKeyHint keyDropped options }
  stt { provider model apiUrl path language apiKeyHint keyDropped options }`;
const createDocument = `mutation ($input: CreateAgentInput!) { createAgent(input: $input) { ${fields} } }`;
const updateDocument = `mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { ${fields} } }`;
const deleteDocument = 'mutation ($id: ID!) { deleteAgent(id: $id) }';
const defaultDocument = 'mutation ($id: ID!) { setDefaultAgent(id: $id) { id isDefault } }';
const readDocument = `query ($id: ID!) { agent(id: $id) { ${fields} } }`;

const draft = (input: Record<string, unknown> = {}) => ({
  name: `agent ${randomUUID()}`,
  instructions: 'Hi.',
  ...input,
});
const create = async (token: string, input: Record<string, unknown> = {}) =>
  (await ask(token, createDocument, { input: draft(input) })).createAgent;
const update = async (token: string, id: string, input: Record<string, unknown>) =>
  (await ask(token, updateDocument, { id, input })).updateAgent;
const current = async (token: string) => (await ask(token, '{ currentAgent { id name } }')).currentAgent;
const idOf = async (token: string, name: string) => {
  const { agents } = await ask(token, '{ agents(first: 100) { edges { node { id name } } } }');
  return agents.edges.find((edge: { node: { name: string } }) => edge.node.name === name)?.node.id;
};

describe('createAgent', () => {
  test('createAgent makes an agent of the viewer from a name and instructions, with the environment’s model', async () => {
    const made = await create(alice, { name: 'plain' });
    expect(made).toMatchObject({
      name: 'plain',
      description: null,
      instructions: 'Hi.',
      isDefault: false,
      isActive: true,
      isShared: false,
      tools: [],
      llm: { model: 'test-model', apiKeyHint: null, keyDropped: false },
    });
    expect((await ask(alice, readDocument, { id: made.id })).agent).toEqual(made);
    expect(failed(await app.query(readDocument, { id: made.id }, { token: bob }))).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('createAgent stores every field, and no key can be read', async () => {
    const given = {
      description: 'For everything.',
      tools: ['current_time', 'lookup_order', 'current_time'],
      llm: {
        provider: 'openrouter',
        model: 'meta/llama',
        api: 'CHAT_COMPLETIONS',
        completionsPath: '/other/completions',
        apiKey: 'sk-or-0123456789-abcd',
        options: { top_p: 0.5, provider: { order: ['a'] } },
      },
      tts: { provider: 'custom', apiUrl: 'https://tts.example.com/v1', voice: 'alto', sampleRate: 24_000 },
      stt: { provider: 'whisper-live', apiUrl: 'wss://stt.example.com', path: '/listen', language: 'pt-BR' },
    };
    const made = await create(alice, given);
    const { apiKey, ...llm } = given.llm;
    expect(made).toMatchObject({
      description: 'For everything.',
      tools: [{ name: 'current_time' }, { name: 'lookup_order' }],
      llm: { ...llm, apiUrl: null, apiKeyHint: 'abcd', keyDropped: false },
      tts: { ...given.tts, model: null, apiKeyHint: null, options: null },
      stt: { ...given.stt, model: null, apiKeyHint: null },
    });
    expect(JSON.stringify(made)).not.toContain(apiKey);
    const row = await app.app.db.agent.findUniqueOrThrow({
      where: { id: made.id.slice(4) },
      include: { secrets: true },
    });
    expect(JSON.stringify(row)).not.toContain(apiKey);
    expect(row.secrets).toMatchObject([{ name: 'llm', origin: 'https://openrouter.ai', hint: 'abcd', kid: 'test' }]);
  });

  test('createAgent accepts the schema of a structured output, whatever its properties are called', async () => {
    const text = { type: 'string' };
    const properties = {
      key: text,
      token: text,
      password: { anyOf: [text, { type: 'null' }] },
      headers: { type: 'object' },
    };
    const schema = { type: 'object', properties, required: ['key', 'token'], $defs: { secret: text } };
    const response_format = { type: 'json_schema', json_schema: { name: 'login', strict: true, schema } };
    const options = { response_format, logit_bias: { token: -100 } };
    const input = draft({ llm: { provider: 'openai', model: 'gpt', options } });
    const answer = await app.query(createDocument, { input }, { token: alice });
    expect(answer.errors).toEqual([]);
    expect(answer.data.createAgent.llm.options).toEqual(options);
  });

  test('Only admins create shared agents, and the names of shared agents are unique', async () => {
    const input = draft({ isShared: true });
    expect(failed(await app.query(createDocument, { input }, { token: alice }))).toMatchObject({ code: 'FORBIDDEN' });
    const made = await create(admin, input);
    expect(made.isShared).toBe(true);
    expect((await ask(bob, readDocument, { id: made.id })).agent.name).toBe(input.name);
    expect(failed(await app.query(createDocument, { input }, { token: admin }))).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(input.name),
    });
    const other = await create(admin, { isShared: true });
    const rename = await app.query(updateDocument, { id: other.id, input: { name: input.name } }, { token: admin });
    expect(failed(rename)).toMatchObject({ code: 'CONFLICT' });
    expect((await create(alice, { name: input.name })).isShared).toBe(false);
    expect((await create(stranger, { name: input.name, isShared: true })).isShared).toBe(true);
  });
});

describe('wrong input of createAgent and updateAgent', () => {
  const llm = { provider: 'openai', model: 'gpt' };
  const custom = (apiUrl: string) => ({ llm: { provider: 'custom', model: 'm', apiUrl } });
  test.each<[string, Record<string, unknown>, string]>([
    ['an empty name', { name: '' }, 'name'],
    ['a name of 256 characters', { name: 'x'.repeat(256) }, 'name'],
    ['a name with U+0000', { name: 'a\u0000b' }, 'name'],
    ['instructions of 100,001 characters', { instructions: 'x'.repeat(100_001) }, 'instructions'],
    ['empty instructions', { instructions: '' }, 'instructions'],
    ['an unknown tool', { tools: ['current_time', 'no_such_tool'] }, 'tools.1'],
    ['101 tools', { tools: Array.from({ length: 101 }, () => 'current_time') }, 'tools'],
    ['a default that is not active', { isDefault: true, isActive: false }, 'isDefault'],
    ['an unknown provider', { llm: { ...llm, provider: 'acme-ai' } }, 'llm.provider'],
    ['a provider named like a method', { llm: { ...llm, provider: 'constructor' } }, 'llm.provider'],
    ['an unknown speech provider', { tts: { provider: 'ollama' } }, 'tts.provider'],
    ['an unknown transcription provider', { stt: { provider: '' } }, 'stt.provider'],
    ['no model', { llm: { ...llm, model: '' } }, 'llm.model'],
    ['a model of 201 characters', { llm: { ...llm, model: 'x'.repeat(201) } }, 'llm.model'],
    ['custom without apiUrl', { llm: { ...llm, provider: 'custom' } }, 'llm.apiUrl'],
    ['azure without apiUrl', { llm: { ...llm, provider: 'azure-openai' } }, 'llm.apiUrl'],
    ['vllm without apiUrl', { llm: { ...llm, provider: 'vllm' } }, 'llm.apiUrl'],
    ['whisper-live without apiUrl', { stt: { provider: 'whisper-live' } }, 'stt.apiUrl'],
    ['no URL', custom('example.com/v1'), 'llm.apiUrl'],
    ['a URL with spaces', custom('https://exa mple.com'), 'llm.apiUrl'],
    ['a URL with a line break', custom('https://exam\nple.com'), 'llm.apiUrl'],
    ['another scheme', custom('ftp://example.com/v1'), 'llm.apiUrl'],
    ['a file', custom('file:///etc/passwd'), 'llm.apiUrl'],
    ['a socket for a model', custom('wss://example.com/v1'), 'llm.apiUrl'],
    ['a user name in the URL', custom('https://me@example.com/v1'), 'llm.apiUrl'],
    ['a password in the URL', custom('https://:pw@example.com/v1'), 'llm.apiUrl'],
    ['a fragment', custom('https://example.com/v1#x'), 'llm.apiUrl'],
    ['an empty fragment', custom('https://example.com/v1#'), 'llm.apiUrl'],
    ['a query', custom('https://example.com/v1?key=1'), 'llm.apiUrl'],
    ['a loopback address', custom('http://127.0.0.1:9/v1'), 'llm.apiUrl'],
    ['a metadata address', custom('http://169.254.169.254/latest'), 'llm.apiUrl'],
    ['an address in decimal', custom('http://2130706433/v1'), 'llm.apiUrl'],
    ['a private address', custom('https://10.1.2.3/v1'), 'llm.apiUrl'],
    ['the local Ollama, not allowed', { llm: { ...llm, provider: 'ollama' } }, 'llm.provider'],
    ['a URL of 2,049 characters', custom(`https://example.com/${'x'.repeat(2_029)}`), 'llm.apiUrl'],
    ['a path that climbs', { llm: { ...llm, completionsPath: '/../admin' } }, 'llm.completionsPath'],
    ['a path to another host', { llm: { ...llm, completionsPath: '//evil.example' } }, 'llm.completionsPath'],
    ['a path with a query', { llm: { ...llm, completionsPath: '/a?b=c' } }, 'llm.completionsPath'],
    ['a path with a line break', { llm: { ...llm, completionsPath: '/a\r\nHost: b' } }, 'llm.completionsPath'],
    ['options that are a list', { llm: { ...llm, options: [1] } }, 'llm.options'],
    ['options that are a text', { llm: { ...llm, options: 'top_p' } }, 'llm.options'],
    ['options of more than 16 KB', { llm: { ...llm, options: { a: 'x'.repeat(16_384) } } }, 'llm.options'],
    ['a key in options', { llm: { ...llm, options: { apiKey: 'sk' } } }, 'llm.options.apiKey'],
    ['a key in options, spelled otherwise', { llm: { ...llm, options: { 'API-Key': 'sk' } } }, 'llm.options.API-Key'],
    [
      'a header deep in options',
      { llm: { ...llm, options: { a: [{ Authorization: 'x' }] } } },
      'llm.options.a.0.Authorization',
    ],
    ['keys in a list in options', { llm: { ...llm, options: { tokens: 1, token: ['sk'] } } }, 'llm.options.token'],
    [
      'a key among the properties of a schema',
      { llm: { ...llm, options: { properties: { key: 'sk' } } } },
      'llm.options.properties.key',
    ],
    [
      'a version of Azure that is a number',
      {
        llm: { provider: 'azure-openai', model: 'm', apiUrl: 'https://r.openai.azure.com', options: { apiVersion: 5 } },
      },
      'llm.options.apiVersion',
    ],
    [
      'an empty version of Azure, for speech',
      { tts: { provider: 'azure-openai', apiUrl: 'https://r.openai.azure.com', options: { apiVersion: '' } } },
      'tts.options.apiVersion',
    ],
    ['another model in options', { llm: { ...llm, options: { model: 'x' } } }, 'llm.options.model'],
    ['messages in options', { llm: { ...llm, options: { messages: [] } } }, 'llm.options.messages'],
    ['no stream in options', { llm: { ...llm, options: { stream: false } } }, 'llm.options.stream'],
    ['another text in options', { tts: { provider: 'openai', options: { input: 'x' } } }, 'tts.options.input'],
    ['a key with a line break', { llm: { ...llm, apiKey: 'sk\r\nX: y' } }, 'llm.apiKey'],
    ['a key of 4,097 characters', { llm: { ...llm, apiKey: 'x'.repeat(4_097) } }, 'llm.apiKey'],
    ['a sample rate of 7,999', { tts: { provider: 'openai', sampleRate: 7_999 } }, 'tts.sampleRate'],
    ['a sample rate of 192,001', { tts: { provider: 'openai', sampleRate: 192_001 } }, 'tts.sampleRate'],
    ['a language that is none', { stt: { provider: 'openai', language: 'english please' } }, 'stt.language'],
    ['a socket at a provider that has none', { stt: { provider: 'groq', apiUrl: 'wss://api.groq.com' } }, 'stt.apiUrl'],
    ['a demo voice of a server that has none', { tts: { provider: 'demo' } }, 'tts.apiUrl'],
  ])('createAgent names what is wrong and writes nothing: %s', async (_what, input, path) => {
    const count = () => app.app.db.agent.count({ where: { ownerId: 'alice' } });
    const before = await count();
    const answer = await app.query(createDocument, { input: draft(input) }, { token: alice });
    const named = ['input', ...path.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step))];
    expect(failed(answer)).toMatchObject({ code: 'BAD_USER_INPUT', path: named });
    expect(failed(answer).message).toContain(`input.${path}`);
    expect(await count()).toBe(before);
  });

  test('createAgent refuses 1 MB of instructions', async () => {
    const input = draft({ instructions: 'x'.repeat(1_048_576) });
    const answer = await app.query(createDocument, { input }, { token: alice });
    expect(failed(answer)).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'instructions'] });
  });

  test('updateAgent names what is wrong and leaves the agent as it was', async () => {
    const made = await create(alice, { llm: { provider: 'groq', model: 'a', apiKey: 'gsk-0123456789-wxyz' } });
    for (const input of [
      { name: 'new', llm: { provider: 'groq', model: '' } },
      { name: null },
      { instructions: null },
      { isActive: null },
      { name: 'new', llm: { provider: 'custom', model: 'x', apiUrl: 'http://localhost/v1' } },
      { name: 'new', tools: ['no_such_tool'] },
    ]) {
      const answer = await app.query(updateDocument, { id: made.id, input }, { token: alice });
      expect(failed(answer).code).toBe('BAD_USER_INPUT');
    }
    expect((await ask(alice, readDocument, { id: made.id })).agent).toEqual(made);
  });

  test('An error beside a key does not repeat the key', async () => {
    const key = 'sk-echo-0123456789';
    const wrong = [
      { llm: { provider: 'openai', apiKey: key } },
      { llm: { provider: 'openai', model: 'm', apikey: key } },
      { llm: { provider: 'openai', model: 'm', apiKey: { it: key } } },
      { llm: { provider: key, model: 'm' } },
      { llm: { provider: 'openai', model: 'm', api: key } },
      { name: { llm: { apiKey: key } } },
      { llm: key },
      { llm: { provider: 'custom', model: 'm', apiUrl: `https://x:${key}@example.com` } },
      { llm: { provider: 'custom', model: 'm', apiUrl: key } },
      { llm: { provider: 'openai', model: 'm', apiKey: `${key}\n` } },
      { llm: { provider: 'openai', model: 'm', options: { apiKey: key } } },
    ];
    for (const part of wrong) {
      const answer = await app.query(createDocument, { input: draft(part) }, { token: alice });
      expect(failed(answer).code).toBe('BAD_USER_INPUT');
      expect(JSON.stringify(answer.errors)).not.toContain(key);
    }
    for (const literal of [
      `{ provider: "openai", apiKey: "${key}" }`,
      `{ provider: "openai", model: "m", apiKey: {it: "${key}"} }`,
      `{ provider: "openai", model: "m", apiKey "${key}" }`,
      `{ provider: "openai", model: "m", apiKey: "${key}`,
      `"${key}"`,
      `["${key}"]`,
      `{ provider: "openai", model: "m", api: "${key}" }`,
    ]) {
      const answer = await app.query(
        `mutation { createAgent(input: { name: "a", instructions: "b", llm: ${literal} }) { id } }`,
        {},
        { token: alice },
      );
      expect(failed(answer).code).toBe('BAD_USER_INPUT');
      expect(JSON.stringify(answer.errors)).not.toContain(key);
    }
    expect(JSON.stringify(app.logs)).not.toContain(key);
  });
});

describe('updateAgent', () => {
  test('updateAgent changes the fields of its input and leaves the rest; null removes what can be absent', async () => {
    const made = await create(alice, {
      description: 'First.',
      tools: ['current_time'],
      llm: { provider: 'groq', model: 'a', options: { top_p: 1 } },
      tts: { provider: 'groq' },
    });
    expect(await update(alice, made.id, {})).toMatchObject({ ...made, updatedAt: expect.any(String) });
    const changed = await update(alice, made.id, { name: 'second', llm: { provider: 'groq', model: 'b' } });
    expect(changed).toMatchObject({
      name: 'second',
      description: 'First.',
      instructions: 'Hi.',
      tools: [{ name: 'current_time' }],
      llm: { model: 'b', options: null },
      tts: { provider: 'groq' },
    });
    const bare = await update(alice, made.id, { description: null, tools: null, llm: null, tts: null });
    expect(bare).toMatchObject({ description: null, tools: [], llm: { model: 'test-model' }, tts: null });
  });

  test('Only admins update shared agents, and nobody updates those of others', async () => {
    const shared = await create(admin, { isShared: true });
    const own = await create(alice);
    const code = async (token: string, id: string) =>
      failed(await app.query(updateDocument, { id, input: { description: 'x' } }, { token })).code;
    expect(await code(alice, shared.id)).toBe('FORBIDDEN');
    expect(await code(stranger, shared.id)).toBe('FORBIDDEN');
    expect(await code(bob, own.id)).toBe('FORBIDDEN');
    expect(await code(admin, own.id)).toBe('FORBIDDEN');
    expect(await code(alice, `agt_${randomUUID()}`)).toBe('NOT_FOUND');
    expect(await code(alice, `conv_${randomUUID()}`)).toBe('BAD_USER_INPUT');
    expect(await update(admin, shared.id, { description: 'x' })).toMatchObject({ description: 'x' });
  });

  test('Two updates of an agent at the same time both keep their fields', async () => {
    const made = await create(alice);
    await Promise.all([
      update(alice, made.id, { name: 'at once' }),
      update(alice, made.id, { description: 'at once' }),
      update(alice, made.id, { tools: ['current_time'] }),
      update(alice, made.id, { llm: { provider: 'groq', model: 'x', apiKey: 'gsk-0123456789-1234' } }),
    ]);
    expect((await ask(alice, readDocument, { id: made.id })).agent).toMatchObject({
      name: 'at once',
      description: 'at once',
      tools: [{ name: 'current_time' }],
      llm: { model: 'x', apiKeyHint: '1234' },
    });
  });
});

describe('the default agent', () => {
  test('The default agent is the viewer’s own, else the tenant’s, else the development agent', async () => {
    const token = await app.token({ sub: 'dora', tenant: 'defaults' });
    const boss = await app.token({ sub: 'boss', tenant: 'defaults', roles: ['admin'] });
    expect((await current(token)).name).toBe('assistant');
    const own = await create(token, { isDefault: true });
    expect(own.isDefault).toBe(true);
    expect((await current(token)).id).toBe(own.id);
    expect((await current(boss)).name).toBe('assistant');
    const second = await create(token);
    expect((await ask(token, defaultDocument, { id: second.id })).setDefaultAgent.isDefault).toBe(true);
    expect((await ask(token, readDocument, { id: own.id })).agent.isDefault).toBe(false);

    // Switched off, or deleted, it is the default no longer.
    expect(await update(token, second.id, { isActive: false })).toMatchObject({ isActive: false, isDefault: false });
    expect((await current(token)).name).toBe('assistant');
    expect(await update(token, second.id, { isActive: true })).toMatchObject({ isActive: true, isDefault: false });
    await ask(token, defaultDocument, { id: own.id });
    await ask(token, deleteDocument, { id: own.id });
    expect((await current(token)).name).toBe('assistant');

    const shared = await create(boss, { isShared: true, isDefault: true });
    expect((await current(token)).id).toBe(shared.id);
    await update(boss, shared.id, { isActive: false });
    expect((await current(token)).name).toBe('development');
    await ask(boss, deleteDocument, { id: await idOf(boss, 'development') });
    const none = await app.query('{ currentAgent { id } }', {}, { token });
    expect(failed(none)).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('The default agent cannot be somebody else’s, an inactive one, or a shared one chosen by a user who is no admin', async () => {
    const own = await create(alice, { isActive: false });
    const shared = await create(admin, { isShared: true });
    const choose = async (token: string, id: string) => failed(await app.query(defaultDocument, { id }, { token }));
    expect(await choose(alice, own.id)).toMatchObject({ code: 'BAD_USER_INPUT', path: ['id'] });
    expect(await choose(bob, own.id)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await choose(alice, shared.id)).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('admin'),
    });
    expect(await choose(stranger, shared.id)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await choose(alice, `agt_${randomUUID()}`)).toMatchObject({ code: 'NOT_FOUND' });
    await ask(alice, deleteDocument, { id: own.id });
    expect(await choose(alice, own.id)).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('A user and a tenant have exactly one default agent, however many are chosen at the same time', async () => {
    const token = await app.token({ sub: 'busy', tenant: 'busy', roles: ['admin'] });
    const agents = await Promise.all(
      Array.from({ length: 10 }, (_, n) => create(token, { isShared: n % 2 === 0, isDefault: n < 4 })),
    );
    const chosen = await Promise.all(
      Array.from({ length: 20 }, (_, n) => app.query(defaultDocument, { id: agents[n % agents.length].id }, { token })),
    );
    expect(chosen.flatMap(({ errors }) => errors)).toEqual([]);
    const defaults = await app.app.db.agent.findMany({ where: { tenantId: 'busy', isDefault: true } });
    expect(defaults.map(({ ownerId }) => ownerId).sort()).toEqual(['busy', null]);
    const own = defaults.find(({ ownerId }) => ownerId === 'busy');
    expect((await current(token)).id).toBe(`agt_${own?.id}`);

    // Against switching off and deleting at the same time.
    const mixed = await Promise.all(
      agents.flatMap(({ id }, n) => [
        app.query(defaultDocument, { id }, { token }),
        n % 3 === 0
          ? app.query(deleteDocument, { id }, { token })
          : app.query(updateDocument, { id, input: { isActive: n % 3 === 1 } }, { token }),
      ]),
    );
    const codes = new Set(mixed.flatMap(({ errors }) => errors.map((error) => error.extensions.code)));
    expect([...codes].filter((code) => !['BAD_USER_INPUT', 'NOT_FOUND'].includes(code))).toEqual([]);
    const left = await app.app.db.agent.findMany({ where: { tenantId: 'busy', isDefault: true } });
    expect(left.filter((agent) => !agent.isActive || agent.deletedAt !== null)).toEqual([]);
    expect(left.filter(({ ownerId }) => ownerId === null).length).toBeLessThanOrEqual(1);
    expect(left.filter(({ ownerId }) => ownerId !== null).length).toBeLessThanOrEqual(1);
  });

  test('A new default agent answers the next turn, in conversations that were begun without an agent', async () => {
    const carol = await openSocketClient(app, 'carol');
    const first = await create(carol.token, {
      name: 'first',
      isDefault: true,
      llm: { provider: 'demo', model: 'one' },
    });
    const begun = async (input: object) =>
      (
        await carol.ask(
          'mutation ($input: CreateConversationInput!) { createConversation(input: $input) { id activeAgent { id } } }',
          { input },
        )
      ).createConversation;
    const following = await begun({});
    const fixed = await begun({ agentId: first.id });
    expect([following.activeAgent.id, fixed.activeAgent.id]).toEqual([first.id, first.id]);
    const turn = async (conversationId: string, input: object = {}) => {
      app.model.add({ text: 'Yes.' });
      const { sendMessage } = await carol.ask(documents.sendMessage, {
        input: { conversationId, content: 'Hello', idempotencyKey: randomUUID(), ...input },
      });
      expect(sendMessage.status).toBe('COMPLETED');
      return app.model.requests.at(-1)?.model;
    };
    expect(await turn(following.id)).toBe('one');

    const second = await create(carol.token, { name: 'second', llm: { provider: 'demo', model: 'two' } });
    await carol.ask(defaultDocument, { id: second.id });
    expect(await turn(following.id)).toBe('two');
    expect(await turn(fixed.id)).toBe('one');
    const active = async (id: string) =>
      (await carol.ask('query ($id: ID!) { conversation(id: $id) { activeAgent { id llm { model } } } }', { id }))
        .conversation.activeAgent;
    expect(await active(following.id)).toEqual({ id: second.id, llm: { model: 'two' } });
    expect(await active(fixed.id)).toEqual({ id: first.id, llm: { model: 'one' } });

    // An agent that a turn names is the active agent from then on.
    expect(await turn(following.id, { agentId: first.id })).toBe('one');
    expect(await turn(following.id)).toBe('one');
    const change =
      'mutation ($id: ID!) { updateConversation(id: $id, input: { agentId: null }) { activeAgent { id } } }';
    expect((await carol.ask(change, { id: following.id })).updateConversation.activeAgent.id).toBe(second.id);
    expect(await turn(following.id)).toBe('two');

    // Without it, its conversations go on with the default one.
    await carol.ask(deleteDocument, { id: first.id });
    expect((await active(fixed.id)).id).toBe(second.id);
    expect(await turn(fixed.id)).toBe('two');
    const { conversation } = await carol.ask(
      'query ($id: ID!) { conversation(id: $id) { messages { edges { node { role content agent { name } } } } } }',
      { id: fixed.id },
    );
    const said = conversation.messages.edges.map(
      ({ node }: { node: { agent: { name: string } | null } }) => node.agent?.name,
    );
    expect(said).toEqual([undefined, 'first', undefined, 'second']);
  });
});

describe('deleteAgent', () => {
  test('deleteAgent and settings that take the agent up at the same moment: the agent is in no settings afterwards', async () => {
    const settings = 'mutation ($ids: [ID!]) { updateChatSettings(input: { enabledAgents: $ids }) { id } }';
    for (let round = 0; round < 8; round++) {
      const [one, two] = [await create(alice), await create(alice)];
      const [set] = await Promise.all([
        app.query(settings, { ids: [one.id, two.id] }, { token: alice }),
        ask(alice, deleteDocument, { id: one.id }),
      ]);
      if (set.errors.length > 0) expect(failed(set).code).toBe('NOT_FOUND');
      const left = await app.app.db.chatSettingsAgent.count({ where: { agentId: one.id.slice(4) } });
      expect(left).toBe(0);
      await ask(alice, deleteDocument, { id: two.id });
    }
  });

  test.runIf(process.env.TEST_DATABASE_URL)(
    'Settings that have looked at an agent before wait for its deletion',
    async () => {
      const settings = 'mutation ($ids: [ID!]) { updateChatSettings(input: { enabledAgents: $ids }) { id } }';
      const { id } = await create(alice);
      const row = id.slice(4);
      const { db } = app.app;
      const { promise: setting, resolve: begun } = Promise.withResolvers<Promise<HttpAnswer>>();
      await db.$transaction(
        async (tx) => {
          await tx.$queryRaw`SELECT id FROM agents WHERE id = ${row}::uuid FOR UPDATE`;
          await tx.agent.update({ where: { id: row }, data: { deletedAt: new Date() } });
          const answer = app.query(settings, { ids: [id] }, { token: alice });
          const waiting = () => tx.$queryRaw<unknown[]>`
        SELECT 1 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE NOT l.granted AND a.datname = current_database()`;
          await expect.poll(waiting, { timeout: 60_000 }).not.toEqual([]);
          begun(answer);
        },
        { timeout: 240_000 },
      );
      expect(failed(await setting)).toMatchObject({ code: 'NOT_FOUND' });
      expect(await db.chatSettingsAgent.count({ where: { agentId: row } })).toBe(0);
    },
  );

  test('deleteAgent is refused while scenarios use the agent, and names them', async () => {
    const id = await idOf(admin, 'orders');
    const code = async (token: string) => failed(await app.query(deleteDocument, { id }, { token }));
    expect(await code(alice)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await code(admin)).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('"support"') });
    expect((await ask(admin, readDocument, { id })).agent.name).toBe('orders');
  });

  test('deleteAgent removes the agent and its keys, for everybody and from everybody’s settings', async () => {
    const made = await create(admin, {
      isShared: true,
      llm: { provider: 'groq', model: 'x', apiKey: 'gsk-0123456789-gone' },
    });
    const settings =
      'mutation ($ids: [ID!]) { updateChatSettings(input: { enabledAgents: $ids }) { enabledAgents { id } } }';
    await ask(bob, settings, { ids: [made.id] });
    expect((await ask(admin, deleteDocument, { id: made.id })).deleteAgent).toBe(made.id);
    expect((await ask(bob, '{ chatSettings { enabledAgents { id } } }')).chatSettings.enabledAgents).toEqual([]);
    for (const document of [readDocument, defaultDocument, deleteDocument]) {
      expect(failed(await app.query(document, { id: made.id }, { token: admin })).code).toBe('NOT_FOUND');
    }
    expect(await app.app.db.secret.count({ where: { agentId: made.id.slice(4) } })).toBe(0);
    expect(await idOf(admin, made.name)).toBeUndefined();
    // Its name is free again.
    expect((await create(admin, { isShared: true, name: made.name })).name).toBe(made.name);
  });

  test('deleteAgent and a scenario that takes the agent up at the same moment: one of the two holds', async () => {
    for (let round = 0; round < 8; round++) {
      const root = await create(admin, { isShared: true });
      const key = `race-${randomUUID()}`;
      const scenario = { key, name: 'Race', rootAgentId: root.id, agents: [{ agentId: root.id, handoffs: [] }] };
      const create2 = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
      const [made, deleted] = await Promise.all([
        app.query(create2, { input: scenario }, { token: admin }),
        app.query(deleteDocument, { id: root.id }, { token: admin }),
      ]);
      const [no, gone] = [failed(made).code, failed(deleted).code];
      expect([no, gone].filter((code) => code !== undefined)).toHaveLength(1);
      if (gone !== undefined)
        expect(failed(deleted)).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining(key) });
      else expect(['BAD_USER_INPUT', 'NOT_FOUND', 'CONFLICT']).toContain(no);
    }
  });
});

test('Changes of agents are limited per user', async () => {
  await using limited = await startTestApp({ env: { RATE_LIMIT_AGENT_OPERATIONS: '2/60' } });
  const token = await limited.token({ sub: 'eager' });
  const made = await limited.query(createDocument, { input: draft() }, { token });
  const { id } = made.data.createAgent;
  await limited.query(defaultDocument, { id }, { token });
  for (const [document, variables] of [
    [createDocument, { input: draft() }],
    [updateDocument, { id, input: {} }],
    [deleteDocument, { id }],
    [defaultDocument, { id }],
  ] as const) {
    const answer = await limited.query(document, variables, { token });
    expect(failed(answer)).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
  }
  const other = await limited.query(
    createDocument,
    { input: draft() },
    { token: await limited.token({ sub: 'calm' }) },
  );
  expect(other.errors).toEqual([]);
});
