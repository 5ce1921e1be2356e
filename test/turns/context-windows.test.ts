import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ModelServer, startModelServer } from '../../src/demo/server.ts';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { type FaultyStep, playFaulty } from '../support/scripted-model/faults.ts';
import { findRefusal } from '../support/scripted-model/strict-history.ts';

/** How servers word that a request is too long. Some name their window, others do not. */
const wordings: Readonly<Record<string, (window: number, tokens: number) => object>> = {
  vLLM: (window, tokens) => ({
    object: 'error',
    message: `This model's maximum context length is ${window} tokens. However, you requested ${tokens} tokens in the messages. Please reduce the length of the messages.`,
    code: 400,
  }),
  'llama.cpp': (window, tokens) => ({
    error: {
      code: 400,
      message: `the request exceeds the available context size (${window} tokens). try increasing the context size or enable context shift`,
      type: 'exceed_context_size_error',
      n_prompt_tokens: tokens,
      n_ctx: window,
    },
  }),
  Mistral: (window, tokens) => ({
    object: 'error',
    message: `Prompt contains ${tokens} tokens and 0 draft tokens, too large for model with ${window} maximum context length`,
    type: 'invalid_request_error',
  }),
  Groq: () => ({
    error: { message: 'Please reduce the length of the messages or completion.', code: 'context_length_exceeded' },
  }),
};

let app: TestApp;
let alice: SocketClient;
let model: ModelServer;
let pages: Server;
let window = 8_000;
let wording = 'vLLM';
let refusals = 0;
let requests: ReceivedRequest[] = [];
let answer: (request: ReceivedRequest) => FaultyStep;

/** Four characters are a token; what the API itself writes around them is not counted. */
const countTokens = ({ instructions, messages, toolParameters }: ReceivedRequest) =>
  Math.ceil((instructions.length + JSON.stringify([messages, [...toolParameters]]).length) / 4);

beforeAll(async () => {
  const respond = (request: ReceivedRequest): FaultyStep => {
    requests.push(request);
    const refusal = findRefusal(request.api, request.body);
    if (refusal !== null) throw new Error(refusal);
    const tokens = countTokens(request);
    if (tokens <= window) return answer(request);
    refusals += 1;
    return { misbehave: { status: 400, body: wordings[wording]?.(window, tokens) } };
  };
  model = await startModelServer<FaultyStep>({ respond, play: playFaulty });
  pages = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('word '.repeat(16_000));
  });
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  app = await startTestApp({
    env: { MODEL_ALLOWED_HOSTS: [new URL(model.url).host, `${new URL(origin).host}/`].join(',') },
  });
  const admin = await openSocketClient(app, { sub: 'root', roles: ['admin'] });
  await admin.ask('mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }', {
    input: {
      name: 'read_page',
      description: 'Reads a page.',
      method: 'GET',
      url: `${origin}/`,
      parameters: { type: 'object', properties: {} },
      maxResultLength: 100_000,
    },
  });
  alice = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  pages.close();
  pages.closeAllConnections();
  await model.close();
});

async function begin(api: string, more: Record<string, unknown> = {}, tools: readonly string[] = []) {
  [refusals, requests] = [0, []];
  answer = () => ({ text: 'Fine.' });
  const llm = { provider: 'custom', model: 'local', apiUrl: model.url, api, ...more };
  const agentId = await alice.createAgent({ name: `a${crypto.randomUUID()}`, tools, llm });
  const conversationId = await alice.createConversation({ agentId });
  return async (content: string) => (await alice.chatTurn('ws', { conversationId, content }).rest()).at(-1);
}

const long = 'A long story. '.repeat(430);

describe.each(['CHAT_COMPLETIONS', 'RESPONSES'])('A model with a small context window (%s)', (api) => {
  test.each(Object.keys(wordings))(
    'H5 Six long turns and a short one succeed at a window of 8,000 tokens (%s)',
    async (words) => {
      [window, wording] = [8_000, words];
      const say = await begin(api);
      for (let turn = 0; turn < 6; turn++) expect(await say(long)).toMatchObject({ __typename: 'RunCompleted' });
      expect(await say('hi')).toMatchObject({ __typename: 'RunCompleted' });
      // It was learnt from the provider, as nobody had said it; no request is tried more than twice.
      expect(refusals).toBeGreaterThan(0);
      expect(requests.length).toBe(7 + refusals);
      expect(requests.at(-1)?.messages.at(-1)).toEqual({ role: 'user', content: 'hi' });
    },
  );

  test('H5 An agent whose contextTokens are set is never refused', async () => {
    [window, wording] = [8_000, 'vLLM'];
    const say = await begin(api, { contextTokens: 8_000 });
    for (let turn = 0; turn < 6; turn++) await say(long);
    expect(await say('hi')).toMatchObject({ __typename: 'RunCompleted' });
    expect(refusals).toBe(0);
    // Not because nothing is sent of the past.
    expect(JSON.stringify(requests.at(-1)?.messages)).toContain('A long story.');
  });

  test.each(Object.keys(wordings))(
    'H6 A turn whose tool returns 80,000 characters succeeds at a window of 16,384 tokens, and so do the next ones (%s)',
    async (words) => {
      [window, wording] = [16_384, words];
      const say = await begin(api, {}, ['read_page']);
      let calls = 0;
      answer = ({ messages }) =>
        /read/.test(lastText(messages))
          ? { calls: [{ id: `page_${++calls}`, name: 'read_page', arguments: {} }] }
          : { text: 'A page of words.' };
      expect(await say('read it')).toMatchObject({ __typename: 'RunCompleted' });
      const result = requests.at(-1)?.messages.at(-1);
      expect(result).toMatchObject({ role: 'tool', output: expect.stringContaining('word word') });
      expect(await say('Thanks')).toMatchObject({ __typename: 'RunCompleted' });
      expect(await say('read it again')).toMatchObject({ __typename: 'RunCompleted' });
      expect(await say('Bye')).toMatchObject({ __typename: 'RunCompleted' });
      expect(requests.at(-1)?.messages.at(-1)).toEqual({ role: 'user', content: 'Bye' });
    },
  );

  test('H6 A turn that reads many pages ends with an answer made of what fits', async () => {
    [window, wording] = [16_384, 'vLLM'];
    const say = await begin(api, { contextTokens: 16_384 }, ['read_page']);
    let calls = 0;
    answer = () =>
      calls < 6 ? { calls: [{ id: `page_${++calls}`, name: 'read_page', arguments: {} }] } : { text: 'Six pages.' };
    expect(await say('read six')).toMatchObject({ __typename: 'RunCompleted' });
    expect(refusals).toBe(0);
    // The last result is whole as far as possible, the first ones are shortened.
    const outputs =
      requests.at(-1)?.messages.flatMap((item) => (item.role === 'tool' ? [item.output.length] : [])) ?? [];
    expect(outputs).toHaveLength(6);
    expect(outputs[0]).toBeLessThan(outputs.at(-1) ?? 0);
  });
});

function lastText(messages: ReceivedRequest['messages']): string {
  const last = messages.at(-1);
  return last?.role === 'user' ? (last.content.split('\n\n').at(-1) ?? '') : '';
}
