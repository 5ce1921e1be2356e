import { describe, expect, test } from 'vitest';
import { ModelError } from '../../src/engine/ports.ts';
import { createOpenAiModel, type OpenAiModelOptions } from '../../src/providers/llm/openai.ts';
import type { FaultyStep, Misbehaviour } from '../support/scripted-model/faults.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type Api, apiKey, collect, requestFor } from '../support/scripted-model/model-step.ts';
import { createScriptedModel, type TestStep } from '../support/scripted-model/script.ts';

describe.each<Api>(['RESPONSES', 'CHAT_COMPLETIONS'])('failures of %s', (api) => {
  async function play(step: TestStep, options: OpenAiModelOptions = {}) {
    await using model = await createScriptedModel([step]);
    const request = requestFor(api, model.url);
    return await collect(createOpenAiModel(options).stream(request, new AbortController().signal));
  }

  const text = 'one two three four';
  const secret = 'secret detail of the provider';
  const reply = (status: number, body?: object): Misbehaviour => ({
    status,
    body: body ?? { error: { message: `${secret} ${apiKey}`, code: 'x' } },
  });
  const cases: [string, FaultyStep, string, boolean, string][] = [
    ['a clean truncation', { text, misbehave: 'truncate' }, 'MODEL_ERROR', true, text],
    ['a truncation in the middle', { text, misbehave: 'truncate', afterTokens: 2 }, 'MODEL_ERROR', true, 'one two'],
    ['a truncation before the first token', { text, misbehave: 'truncate', afterTokens: 0 }, 'MODEL_ERROR', true, ''],
    ['garbage', { text, misbehave: 'garbage', afterTokens: 2 }, 'MODEL_ERROR', true, 'one two'],
    ['a web page', { text, misbehave: 'html' }, 'MODEL_ERROR', true, ''],
    ['an error in the data', { text, misbehave: 'in-band-error', afterTokens: 1 }, 'MODEL_ERROR', true, 'one'],
    ['an error event', { text, misbehave: 'error-event', afterTokens: 1 }, 'MODEL_ERROR', true, 'one'],
    ['a failed response', { text, misbehave: 'failed', afterTokens: 1 }, 'MODEL_ERROR', true, 'one'],
    ['a refusal', { refusal: 'I will not do that.' }, 'MODEL_REFUSED', false, ''],
    ['a refusal after text', { text, refusal: 'No more.' }, 'MODEL_REFUSED', false, text],
    ['a content filter', { text, finish: 'content_filter' }, 'MODEL_REFUSED', false, text],
    ['status 400', { misbehave: reply(400) }, 'MODEL_ERROR', false, ''],
    ['status 401', { misbehave: reply(401) }, 'MODEL_ERROR', false, ''],
    ['status 403', { misbehave: reply(403) }, 'MODEL_ERROR', false, ''],
    ['status 404', { misbehave: reply(404) }, 'MODEL_ERROR', false, ''],
    ['status 429', { misbehave: { status: 429, retryAfter: 1 } }, 'RATE_LIMITED', true, ''],
    [
      'a used up quota',
      { misbehave: reply(429, { error: { code: 'insufficient_quota' } }) },
      'RATE_LIMITED',
      false,
      '',
    ],
    [
      'a filter by status',
      { misbehave: reply(400, { error: { code: 'content_filter' } }) },
      'MODEL_REFUSED',
      false,
      '',
    ],
    ['status 500', { misbehave: reply(500) }, 'MODEL_ERROR', true, ''],
    ['status 503 with a page', { misbehave: { status: 503, body: `<p>${secret}` } }, 'MODEL_ERROR', true, ''],
    ['a redirect', { misbehave: { status: 307, body: secret } }, 'MODEL_ERROR', false, ''],
    ['an error with status 200', { misbehave: reply(200) }, 'MODEL_ERROR', true, ''],
  ];
  test.each(cases)('A failure of the provider is classified: %s', async (_, step, code, retryable, before) => {
    const result = await play(step);
    expect(result.failure).toMatchObject({ code, retryable });
    expect(result.text).toBe(before);
    expect(result.finished).toBeUndefined();
    expect(result.failure?.message).not.toContain(secret);
    const cause = result.thrown instanceof Error ? String(result.thrown.cause) : '';
    expect(cause).not.toContain(apiKey);
  });

  test('A destroyed socket of the provider is a failure', async () => {
    const result = await play({ text, misbehave: 'destroy', afterTokens: 2, delayMs: 10 });
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: true });
    expect(text.startsWith(result.text)).toBe(true);
  });

  test.each<Misbehaviour>(['hang', 'hang-before-headers'])(
    'A provider that falls silent is a failure: %s',
    async (misbehave) => {
      const result = await play({ text, misbehave, afterTokens: 2 }, { timeoutMs: 1_500 });
      expect(result.failure).toMatchObject({ code: 'MODEL_TIMEOUT', retryable: true });
      expect(result.text).toBe(misbehave === 'hang' ? 'one two' : '');
    },
  );

  test('A slow stream is not a silent one', async () => {
    // The whole takes longer than the silence that is allowed, each pause much shorter: machines do other work as well.
    const slow = `${text} five six seven`;
    const result = await play({ text: slow, delayMs: 400 }, { timeoutMs: 2_000 });
    expect(result).toMatchObject({ text: slow, thrown: undefined });
  });

  test('A refused connection is a failure', async () => {
    const model = await createScriptedModel();
    await model.close();
    const result = await collect(createOpenAiModel().stream(requestFor(api, model.url), new AbortController().signal));
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: true });
  });

  test.each([
    ['an address', { apiUrl: 'not a url', apiKey }],
    ['a key', { apiUrl: 'http://127.0.0.1:1/v1', apiKey: 'sk-broken\nkey' }],
  ])('A reply of the provider that cannot be used is a failure: %s', async (_, endpoint) => {
    const request = requestFor(api, '', { endpoint: { api, model: 'm', ...endpoint } });
    const result = await collect(createOpenAiModel().stream(request, new AbortController().signal));
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: false });
    expect(result.thrown instanceof Error ? String(result.thrown.cause) : '').not.toContain('sk-broken');
  });

  test('The reason of a refusal to dial is passed on', async () => {
    const refused = new ModelError({ code: 'MODEL_ERROR', message: 'Not this host.', retryable: false });
    const dial: typeof fetch = () => Promise.reject(refused);
    const model = createOpenAiModel({ fetch: dial });
    const result = await collect(model.stream(requestFor(api, 'http://10.0.0.1/v1'), new AbortController().signal));
    expect(result.thrown).toBe(refused);
  });

  test.each([
    ['before the headers', { misbehave: 'hang-before-headers' } as const],
    ['before the first token', { text, misbehave: 'hang', afterTokens: 0 } as const],
  ])('An abort %s throws its reason and reaches the provider', async (_, step) => {
    await using model = await createScriptedModel([step]);
    const abort = new AbortController();
    const reason = new Error('The user has had enough.');
    const result = collect(createOpenAiModel().stream(requestFor(api, model.url), abort.signal));
    await model.received(1);
    const signal = model.requests[0]?.signal;
    abort.abort(reason);
    expect((await result).thrown).toBe(reason);
    await expect.poll(() => signal?.aborted).toBe(true);
  });

  test('An abort in the middle throws its reason, keeps the text, and reaches the provider', async () => {
    const gate = createGate();
    await using model = await createScriptedModel([{ text, gate, afterTokens: 2 }]);
    const abort = new AbortController();
    const reason = new Error('The user has had enough.');
    const stream = createOpenAiModel().stream(requestFor(api, model.url), abort.signal);
    const result = collect(
      (async function* () {
        for await (const event of stream) {
          yield event;
          if (event.type === 'text') setImmediate(() => abort.abort(reason));
        }
      })(),
    );
    expect(await result).toMatchObject({ thrown: reason, text: 'one two', finished: undefined });
    await expect.poll(() => model.requests[0]?.signal.aborted).toBe(true);
  });

  test('An abort that came first sends nothing', async () => {
    await using model = await createScriptedModel();
    const reason = new Error('Too late.');
    const stream = createOpenAiModel().stream(requestFor(api, model.url), AbortSignal.abort(reason));
    expect((await collect(stream)).thrown).toBe(reason);
    expect(model.requests).toHaveLength(0);
  });

  test('Leaving the stream ends the call at the provider', async () => {
    await using model = await createScriptedModel([{ text, misbehave: 'hang', afterTokens: 2 }]);
    for await (const event of createOpenAiModel().stream(requestFor(api, model.url), new AbortController().signal)) {
      expect(event.type).toBe('text');
      break;
    }
    await expect.poll(() => model.requests[0]?.signal.aborted).toBe(true);
  });

  test('An answer that never ends is cut off at the provider', async () => {
    const word = 'x'.repeat(64 * 1024);
    const result = await play({ text: Array.from({ length: 65 }, () => word) });
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: false });
    expect(result.text.length).toBeLessThanOrEqual(4 * 1024 * 1024);
  });
});
