import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

// A user without roles makes agents that speak and listen with the operator's provider and key.

const operatorKey = 'sk-speech-of-the-operator';
const userKey = 'sk-speech-of-the-user';
const wav = speakInTones('Hello.', 8_000);

/** What the provider was asked, with which key. */
let asked: { url: string; key: string; body: string }[] = [];
const provider = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('latin1')) body += chunk;
  asked.push({ url: request.url ?? '', key: request.headers.authorization ?? '', body });
  if (request.url?.endsWith('/speech')) response.end(wav);
  else response.writeHead(200, { 'content-type': 'application/json' }).end('{"text":"Hello."}');
});
let apiUrl: string;
let app: TestApp;
beforeAll(async () => {
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  apiUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
  app = await startTestApp({
    env: {
      ...{ TTS_API_URL: apiUrl, TTS_API_KEY: operatorKey, TTS_MODEL: 'voice-small' },
      ...{ STT_API_URL: apiUrl, STT_API_KEY: operatorKey, STT_MODEL: 'ear-small' },
      MODELS_ALLOWED: 'speech-extra',
    },
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.closeAllConnections();
  provider.close();
});
beforeEach(() => {
  asked = [];
});

let count = 0;
async function create(speech: object) {
  const document = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  const { data, errors } = await app.query(document, { input: { name: `a${++count}`, instructions: 'i', ...speech } });
  return { id: data?.createAgent.id, errors };
}

const speak = (agentId: string) =>
  app.query('mutation ($agentId: ID) { synthesizeSpeech(agentId: $agentId, text: "Hello.") { size } }', { agentId });

async function listen(agentId: string) {
  const query = 'mutation ($audio: File!, $agentId: ID) { transcribeAudio(audio: $audio, agentId: $agentId) { text } }';
  const form = new FormData();
  form.append('operations', JSON.stringify({ query, variables: { audio: null, agentId } }));
  form.append('map', '{"0":["variables.audio"]}');
  form.append('0', new Blob([new Uint8Array(wav)]), 'a.wav');
  const headers = { authorization: `Bearer ${await app.token()}`, 'graphql-require-preflight': 'true' };
  return readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form }));
}

const kinds = [
  { kind: 'tts', own: 'voice-small', use: speak },
  { kind: 'stt', own: 'ear-small', use: listen },
] as const;

describe.each(kinds)('The operator’s key for $kind', ({ kind, own, use }) => {
  const with_ = (fields: object) => create({ [kind]: { provider: 'custom', apiUrl, ...fields } });

  test(`A model of ${kind} that the operator does not allow is refused when an agent is written`, async () => {
    const { errors } = await with_({ model: 'dear-model' });
    expect(errors).toMatchObject([
      {
        message: `input.${kind}.model must be one of ${own}, speech-extra with the key of this server: choose one of them, or set an apiKey.`,
        extensions: { code: 'BAD_USER_INPUT' },
      },
    ]);
    for (const model of [own, 'speech-extra']) expect((await with_({ model })).errors).toEqual([]);
    expect(asked).toEqual([]);
  });

  test(`An agent with a key of its own for ${kind} may have any model, and uses its own key`, async () => {
    const { id } = await with_({ model: 'dear-model', apiKey: userKey, options: { anything: 1 } });
    expect((await use(id)).errors).toEqual([]);
    expect(asked.map(({ key }) => key)).toEqual([`Bearer ${userKey}`]);
    expect(asked[0]?.body).toContain('dear-model');
    const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
    const provider = { provider: 'custom', apiUrl, model: 'dear-model', apiKey: '' };
    const { errors } = await app.query(update, { id, input: { [kind]: provider } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  test(`An agent for ${kind} that names no model has the operator’s with the operator’s key`, async () => {
    const { id, errors } = await with_({});
    expect(errors).toEqual([]);
    expect((await use(id)).errors).toEqual([]);
    expect(asked.map(({ key }) => key)).toEqual([`Bearer ${operatorKey}`]);
    expect(asked[0]?.body).toContain(own);
  });

  test(`Options of ${kind} that could cost more are refused with the operator’s key`, async () => {
    for (const options of [{ service_tier: 'priority' }, { stream: true }, { unknown: 1 }]) {
      const { errors } = await with_({ options });
      expect(errors).toMatchObject([
        { message: expect.stringContaining(`input.${kind}.options.`), extensions: { code: 'BAD_USER_INPUT' } },
      ]);
    }
    const harmless = kind === 'tts' ? { speed: 1.5 } : { prompt: 'Names: Bo.' };
    expect((await with_({ options: harmless })).errors).toEqual([]);
  });

  test(`An older row with a model of ${kind} that is not allowed reaches no provider, and says why`, async () => {
    const { id } = await with_({});
    const write = async (fields: object) => {
      const data = { [kind]: { provider: 'custom', apiUrl, ...fields } };
      await app.app.db.agent.update({ where: { id: id.replace('agt_', '') }, data });
      app.app.runs.agents.config.drop('acme');
    };
    await write({ model: 'dear-model' });
    expect((await use(id)).errors).toMatchObject([
      { message: expect.stringMatching(/"dear-model" with the key of this server/), extensions: { code: 'CONFLICT' } },
    ]);
    expect(asked).toEqual([]);
    await write({ model: own, options: { service_tier: 'priority', unknown_option: 1 } });
    expect((await use(id)).errors).toEqual([]);
    expect(asked[0]?.body).not.toMatch(/service_tier|unknown_option/);
  });
});
