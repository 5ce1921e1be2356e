import { describe, expect, test } from 'vitest';
import type { HistoryItem, ModelRequest } from '../../src/engine/ports.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, apiKey, collect, requestFor } from '../support/scripted-model/model-step.ts';
import { createScriptedModel, type TestStep } from '../support/scripted-model/script.ts';

const weather = {
  name: 'weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

describe.each<Api>(['RESPONSES', 'CHAT_COMPLETIONS'])('the API %s', (api) => {
  async function play(step: TestStep, changes: Partial<ModelRequest> = {}) {
    await using model = await createScriptedModel([step]);
    const request = requestFor(api, model.url, changes);
    return await collect(createOpenAiModel().stream(request, new AbortController().signal));
  }

  test('A model step streams text, reasoning and usage', async () => {
    const usage = {
      inputTokens: 120,
      outputTokens: 30,
      cachedInputTokens: 100,
      cacheWriteInputTokens: 5,
      reasoningTokens: 12,
    };
    const result = await play({ reasoning: ['Let me', ' think.'], text: 'Good day to you.', usage, delayMs: 8 });
    expect(result).toMatchObject({ text: 'Good day to you.', reasoning: 'Let me think.', thrown: undefined });
    expect(result.finished).toEqual({ type: 'finished', reason: 'stop', usage });
    expect(result.seen.filter((event) => event.type === 'text').length).toBeGreaterThan(1);
  });

  test('A model step sends instructions, settings, tools and the history', async () => {
    const history: HistoryItem[] = [
      { role: 'user', content: 'Weather in Bern?' },
      {
        role: 'assistant',
        content: 'Looking.',
        calls: [
          { id: 'c1', name: 'weather', arguments: '{"city":"Bern"}' },
          { id: 'c2', name: 'weather', arguments: '{"city":' },
        ],
      },
      { role: 'tool', callId: 'c1', output: '{"sky":"blue"}' },
      { role: 'tool', callId: 'c2', output: 'Cancelled.' },
      { role: 'assistant', content: 'Blue.', calls: [] },
      { role: 'system', content: 'The user moved on.' },
      { role: 'user', content: 'Thanks' },
    ];
    await using model = await createScriptedModel([{ text: 'Welcome.' }]);
    const request = requestFor(api, model.url, { history, tools: [weather], temperature: 1.5, maxTokens: 77 });
    await collect(createOpenAiModel().stream(request, new AbortController().signal));
    const [received] = model.requests;
    const written = history.flatMap((item): HistoryItem[] => {
      // Compatible servers take one system message, at the beginning.
      if (item.role === 'system') return [];
      if (item.role !== 'assistant') return [item];
      return [{ ...item, calls: item.calls.map((call) => (call.id === 'c2' ? { ...call, arguments: '{}' } : call)) }];
    });
    const instructions = 'Be brief.\n\nThe user moved on.';
    expect(received).toMatchObject({ api, model: 'test-model', instructions, messages: written });
    expect(received).toMatchObject({ tools: ['weather'], temperature: 1.5, maxTokens: 77, stream: true });
    expect(received?.toolParameters.get('weather')).toEqual(weather.parameters);
    expect(received?.headers.authorization).toBe(`Bearer ${apiKey}`);
    expect(Object.keys(received?.headers ?? {}).filter((name) => name.startsWith('x-'))).toEqual([]);
    if (api === 'RESPONSES') expect(received?.body).toMatchObject({ store: false });
  });

  test('A model step sends no authorization if it has no key', async () => {
    await using model = await createScriptedModel([{ text: 'Hi.' }]);
    const endpoint = { api, apiUrl: `${model.url}/`, apiKey: '', model: 'local' };
    const result = await collect(
      createOpenAiModel().stream(requestFor(api, '', { endpoint }), new AbortController().signal),
    );
    expect(result.text).toBe('Hi.');
    expect(model.requests[0]?.headers.authorization).toBeUndefined();
  });

  test('A model step puts parallel calls together from their fragments', async () => {
    const calls = [
      { id: 'a', name: 'weather', arguments: { city: 'Llanfairpwllgwyngyll' } },
      { id: 'b', name: 'weather', arguments: '{"city": "Ulm"' },
      { id: 'c', name: 'weather', arguments: '' },
    ];
    const result = await play({ text: 'One moment.', calls });
    expect(result.text).toBe('One moment.');
    expect(result.calls).toEqual([
      { id: 'a', name: 'weather', arguments: '{"city":"Llanfairpwllgwyngyll"}' },
      { id: 'b', name: 'weather', arguments: '{"city": "Ulm"' },
      { id: 'c', name: 'weather', arguments: '{}' },
    ]);
    expect(result.finished).toMatchObject({ reason: 'calls' });
  });

  test('A model step gives calls with a missing, repeated or overlong id one of their own', async () => {
    const ids = ['', 'same', 'same', 'old', 'x'.repeat(65)];
    const calls = ids.map((id) => ({ id, name: 'weather', arguments: {} }));
    const history: HistoryItem[] = [
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: '', calls: [{ id: 'old', name: 'weather', arguments: '{}' }] },
      { role: 'tool', callId: 'old', output: 'rain' },
    ];
    const result = await play({ calls }, { history });
    const given = result.calls.map((call) => call.id);
    expect(given).toHaveLength(5);
    expect(new Set(given).size).toBe(5);
    expect(given[1]).toBe('same');
    for (const id of [0, 2, 3, 4].map((index) => given[index])) expect(id).toMatch(/^call_[0-9a-f]{32}$/);
  });

  test('A model step refuses a call without a name', async () => {
    const result = await play({ calls: [{ name: '', arguments: {} }] });
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: true });
  });

  test('A model step keeps what came before the length limit, without the half call', async () => {
    const result = await play({ text: 'Once upon', calls: [{ name: 'weather', arguments: '{"ci' }], finish: 'length' });
    expect(result).toMatchObject({ text: 'Once upon', calls: [], thrown: undefined });
    expect(result.finished).toMatchObject({ reason: 'length' });
  });

  test.each([
    ['negative', { inputTokens: -1, outputTokens: 3 }],
    ['absurd', { inputTokens: 1, outputTokens: 1e15 }],
    ['fractional', { inputTokens: 1.5, outputTokens: 1 }],
    ['more cached than sent', { inputTokens: 1, outputTokens: 1, cachedInputTokens: 2 }],
    ['no', null],
  ])('A model step reads %s usage as none', async (_, usage) => {
    const result = await play({ text: 'Hi.', usage });
    expect(result.finished).toEqual({ type: 'finished', reason: 'stop', usage: null });
  });

  test('A model step repairs the text: no NUL, whole pairs, no lone surrogates', async () => {
    const result = await play({
      text: ['a\0b ', '\ud83d', '\ude00 ', '\ude00 ', '\ud83d', 'x ', '\ud83d\0', '\ude00', '\ud83d'],
      reasoning: ['\ud83d', '\ude00'],
      delayMs: 8,
    });
    expect(result.text).toBe('ab 😀 \ufffd \ufffdx 😀\ufffd');
    expect(result.reasoning).toBe('😀');
    for (const event of result.seen) if (event.type === 'text') expect(event.delta.isWellFormed()).toBe(true);
  });

  test('A model step retries only if its options say so', async () => {
    await using model = await createScriptedModel([{ misbehave: { status: 500 } }, { text: 'At last.' }]);
    const port = createOpenAiModel({ maxRetries: 1 });
    const result = await collect(port.stream(requestFor(api, model.url), new AbortController().signal));
    expect(result.text).toBe('At last.');
  });
});
