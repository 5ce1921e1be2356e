import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { printSchema } from 'graphql';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** Keys that everybody would recognise. */
const newKey = () => `sk-${randomBytes(12).toString('hex')}+/${randomBytes(6).toString('base64url')}`;
const ring = [randomBytes(32), randomBytes(32)];
const environment = { llm: newKey(), tts: newKey(), stt: newKey() };

let app: TestApp;
let alice: SocketClient;
let provider: Awaited<ReturnType<typeof openProvider>>;
/** All that clients were ever told. */
const answers: string[] = [];
/** All that was ever written beside the log. */
const printed: string[] = [];
const keys: string[] = [...Object.values(environment)];

/** Answers everything with what it was asked, the key included: in the status line, the headers and the body. */
async function openProvider() {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const sent = `${request.headers.authorization ?? ''} ${String(request.headers['api-key'] ?? '')}`;
    seen.push(sent);
    request.resume();
    const error = { message: `Incorrect API key provided: ${sent}.`, type: sent, code: sent, param: sent };
    const how = request.url?.split('/')[1];
    if (how === 'drop') return void request.socket.destroy();
    const status = how === 'busy' ? 429 : how === 'broken' ? 500 : how === 'unknown' ? 404 : 401;
    response.writeHead(status, `No ${sent}`, {
      'content-type': 'application/json',
      'x-echo': sent,
      'retry-after': '0',
    });
    response.end(how === 'broken' ? `<html>${sent}</html>` : JSON.stringify({ error }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
  return { url: `http://127.0.0.1:${address.port}`, seen, close: () => server.close() };
}

beforeAll(async () => {
  for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args.map(String).join(' ')));
  }
  provider = await openProvider();
  app = await startTestApp({
    env: {
      LOG_LEVEL: 'trace',
      ENCRYPTION_KEYS: ring.map((key, index) => `k${index}:${key.toString('base64')}`).join(','),
      OPENAI_API_KEY: environment.llm,
      TTS_API_URL: `${provider.url}/tts`,
      TTS_API_KEY: environment.tts,
      STT_API_URL: `${provider.url}/stt`,
      STT_API_KEY: environment.stt,
      MODEL_ALLOWED_HOSTS: '127.0.0.1/',
    },
  });
  alice = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  provider.close();
  await app[Symbol.asyncDispose]();
  vi.restoreAllMocks();
});

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const answer = await app.query(document, variables, { token: alice.token });
  answers.push(JSON.stringify(answer.data), JSON.stringify(answer.errors), JSON.stringify([...answer.headers]));
  return answer;
}

const config = '{ provider apiUrl apiKeyHint keyDropped options }';
const fields = `id name llm ${config} tts ${config} stt ${config}`;

/** An agent whose every key is new and known. */
async function makeAgent(name: string, apiUrl: string): Promise<string> {
  const given = { llm: newKey(), tts: newKey(), stt: newKey() };
  keys.push(...Object.values(given));
  const providerOf = (apiKey: string) => ({ provider: 'custom', apiUrl, apiKey });
  const input = {
    name,
    instructions: 'Hi.',
    llm: { ...providerOf(given.llm), model: 'm' },
    tts: providerOf(given.tts),
    stt: providerOf(given.stt),
  };
  const { data, errors } = await ask(
    `mutation ($input: CreateAgentInput!) { createAgent(input: $input) { ${fields} } }`,
    { input },
  );
  expect(errors).toEqual([]);
  expect(data.createAgent.llm.apiKeyHint).toBe(given.llm.slice(-4));
  return data.createAgent.id;
}

/** Requests that graphql-js refuses with the words of its own, of which many repeat what was given. */
async function askWrongly(): Promise<void> {
  const wrong = newKey();
  keys.push(wrong);
  const key = JSON.stringify(wrong);
  const begin = 'mutation { createAgent(input: ';
  const create = (llm: string, rest = '') => `{name: "a", instructions: "b", llm: {provider: "openai", ${llm}}${rest}}`;
  const documents = [
    // Only found out when the argument is read: null for what may not be null.
    [`mutation ($m: String = "m") { createAgent(input: ${create(`model: $m, apiKey: ${key}`)}) { id } }`, { m: null }],
    [`mutation ($m: String = "m") { testAgent(id: ${key}, prompt: $m) { ok } }`, { m: null }],
    ...[
      create(`apiKey: ${key}`),
      create(`model: "m", apiKey: [${key}]`),
      create(`model: "m", apiKey: {key: ${key}}`),
      create(`model: "m", key: ${key}`),
      create(`model: "m", api: ${key}`),
      create(`model: "m", apiKey: ${wrong.replace(/\W/g, '_')}`),
      create('model: "m"', `, isDefault: ${key}`),
      create('model: "m"', `, tts: ${key}`),
      create('model: "m"', `, tts: {provider: "openai", sampleRate: ${key}}`),
      create('model: "m"', `, tts: [{provider: "openai", apiKey: ${key}}]`),
      create(`model: "m", apiKey ${key}`),
      create(`model: "m", apiKey: ${key} ${key}`),
      create(`model: "m", apiKey: """${wrong}""" """${wrong}"""`),
      create(`model: "m", apiKey: "${wrong}`),
      key,
      `[${key}]`,
    ].map((input) => [`${begin}${input}) { id } }`, {}] as const),
    [`${key} ${key} { currentAgent { id } }`, {}],
    [`mutation ($t: DateTime = ${key}, $f: Float = ${key}) { __typename }`, {}],
    [`{ node(id: "x") @include(if: ${key}) { id } }`, {}],
    [`{ agents(first: ${key}) { totalCount } }`, {}],
    [`mutation ($file: File!) { transcribeAudio(audio: $file) { text } }`, { file: wrong }],
    ...[
      { llm: { provider: 'openai', apiKey: wrong } },
      { llm: { provider: 'openai', model: 'm', [wrong]: wrong } },
      { llm: { provider: 'openai', model: 'm', api: wrong } },
      { llm: { provider: 'openai', model: 'm', api: [wrong] } },
      { llm: { provider: ['openai', wrong], model: 'm' } },
      { llm: wrong },
      { tts: { provider: 'openai', sampleRate: wrong } },
      { isDefault: wrong },
      { isDefault: ` at "${wrong}"; Field "${wrong}" of required type` },
    ].map(
      (input) =>
        [
          'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }',
          { input: { name: 'a', instructions: 'b', ...input } },
        ] as const,
    ),
    ['mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }', { input: wrong }],
  ] as const;
  for (const [document, variables] of documents) {
    const { data, errors } = await ask(document, variables);
    expect(data ?? null, document).toBeNull();
    expect(errors[0]?.extensions.code, document).toBe('BAD_USER_INPUT');
  }
}

/** Does with an agent whatever uses its keys, and whatever goes wrong. */
async function useAgent(id: string): Promise<void> {
  const begin = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
  const { data } = await ask(begin, { input: { agentId: id } });
  const conversationId = data.createConversation.id;
  const reader = alice.chatTurn('sse', { conversationId });
  answers.push(JSON.stringify(await reader.rest()));
  await ask(
    `mutation ($input: ChatTurnInput!) { sendMessage(input: $input) {
      id status error { code message retryable } messages { content } conversation { activeAgent { ${fields} } } } }`,
    { input: { conversationId, content: 'Hello', idempotencyKey: randomUUID() } },
  );
  await ask(
    `mutation ($id: ID!) { testAgent(id: $id, prompt: "Hello") { ok output error { code message } problem } }`,
    { id },
  );
  const query =
    'subscription ($id: ID!) { testAgentEvents(id: $id, prompt: "Hello") { ... on AgentTestResult { output error { message } } } }';
  const events = app.ws(alice.token).iterate({ query, variables: { id } });
  answers.push(JSON.stringify(await Array.fromAsync(events)));
  await ask('mutation ($id: ID) { synthesizeSpeech(agentId: $id, text: "Hello") { url } }', { id });
  await transcribe(id);
  const wrong = newKey();
  keys.push(wrong);
  const update = `mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { ${fields} } }`;
  for (const llm of [
    { provider: 'custom', model: 'm', apiUrl: `https://user:${wrong}@example.com` },
    { provider: 'custom', model: 'm', apiUrl: `https://example.com/?key=${encodeURIComponent(wrong)}` },
    { provider: 'openai', apiKey: wrong },
    { provider: 'openai', model: 'm', apiKey: `${wrong}\r\nx: y` },
    { provider: 'openai', model: 'm', options: { authorization: wrong } },
    { provider: 'nobody', model: 'm', apiKey: wrong },
    { provider: wrong, model: 'm' },
  ]) {
    const { errors } = await ask(update, { id, input: { llm } });
    expect(errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
  }
  await ask(`query ($id: ID!) { agent(id: $id) { ${fields} } node(id: $id) { id } currentAgent { ${fields} } }`, {
    id,
  });
  await ask(`{ agents(first: 100) { edges { node { ${fields} } } } }`);
}

async function transcribe(agentId: string): Promise<void> {
  const samples = Buffer.alloc(3_200);
  const header = Buffer.from(
    '524946460000000057415645666d7420100000000100010080bb000000770100020010006461746100000000',
    'hex',
  );
  header.writeUInt32LE(36 + samples.length, 4);
  header.writeUInt32LE(samples.length, 40);
  const form = new FormData();
  const query = 'mutation ($id: ID, $audio: File!) { transcribeAudio(agentId: $id, audio: $audio) { text } }';
  form.set('operations', JSON.stringify({ query, variables: { id: agentId, audio: null } }));
  form.set('map', '{"0":["variables.audio"]}');
  form.set('0', new Blob([header, samples], { type: 'audio/wav' }), 'speech.wav');
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${alice.token}`, 'apollo-require-preflight': 'true' },
    body: form,
  });
  answers.push(await response.text(), JSON.stringify([...response.headers]));
}

test('Provider keys are in no log line, no answer, no row and no snapshot', { timeout: 120_000 }, async () => {
  await askWrongly();
  for (const how of ['wrong', 'busy', 'broken', 'unknown', 'drop']) {
    await useAgent(await makeAgent(how, `${provider.url}/${how}`));
  }
  const closed = await openProvider();
  closed.close();
  await useAgent(await makeAgent('unavailable', closed.url));
  // The environment's own, through the development agent and through one that has no provider of its own.
  app.model.add(
    ...Array.from({ length: 4 }, () => ({
      misbehave: { status: 401, body: { error: { message: `Incorrect API key: ${environment.llm}` } } },
    })),
  );
  const { data } = await ask('{ agents(first: 100) { edges { node { id name } } } }');
  const nodes: { id: string; name: string }[] = data.agents.edges.map((edge: { node: unknown }) => edge.node);
  await useAgent(nodes.find(({ name }) => name === 'development')?.id ?? '');

  // The keys were really used: each of them came to its provider.
  const sent = provider.seen.join('\n');
  for (const kind of ['tts', 'stt'] as const) expect(sent).toContain(environment[kind]);
  expect(keys.filter((key) => sent.includes(key)).length).toBeGreaterThanOrEqual(12);
  expect(app.model.requests[0]?.headers.authorization).toContain(environment.llm);

  const places: [string, string][] = [
    ['the log', JSON.stringify(app.logs)],
    ['the answers', answers.join('\n')],
    ['the console', printed.join('\n')],
    ['the schema', printSchema(schema)],
    ['the database', await dump()],
  ];
  for (const [place, text] of places) {
    // The database has something of each key, and the log something of each operation: the search is not of nothing.
    if (place !== 'the console') expect(text.length).toBeGreaterThan(1_000);
    for (const key of [...keys, ...ring]) {
      for (const form of formsOf(key)) {
        const at = text.indexOf(form);
        expect(at < 0 ? null : `${place}: …${text.slice(Math.max(0, at - 200), at)}`).toBeNull();
      }
    }
  }
});

test('The search for provider keys finds a key that is there', async () => {
  const key = newKey();
  await app.app.db.agent.updateMany({ where: { name: 'wrong' }, data: { description: `x${key}` } });
  const text = await dump();
  expect(formsOf(key).some((form) => text.includes(form))).toBe(true);
  const hidden = Buffer.from(`ab${key}cd`).toString('base64');
  expect(formsOf(key).some((form) => hidden.includes(form))).toBe(true);
});

/** Every row of every table, as text. */
async function dump(): Promise<string> {
  const { db } = app.app;
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`;
  expect(tables.length).toBeGreaterThan(15);
  const rows = await Promise.all(
    tables.map(({ name }) => db.$queryRawUnsafe<{ row: string }[]>(`SELECT t::text AS row FROM "${name}" AS t`)),
  );
  return rows.flatMap((table) => table.map(({ row }) => row)).join('\n');
}

/** A key as it is, and as it may be written: hexadecimal, base64 wherever it begins, percent-encoded, as JSON. */
function formsOf(key: string | Buffer): string[] {
  const bytes = Buffer.from(key);
  const coded = (['base64', 'base64url'] as const).flatMap((encoding) =>
    [0, 1, 2].map((shift) => {
      const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString(encoding);
      // Without the ends, which its neighbours have a part in.
      return text.slice(shift === 0 ? 0 : 4, Math.floor((shift + bytes.length) / 3) * 4);
    }),
  );
  const plain = typeof key === 'string' ? [key, encodeURIComponent(key), JSON.stringify(key).slice(1, -1)] : [];
  return [...plain, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), ...coded];
}
