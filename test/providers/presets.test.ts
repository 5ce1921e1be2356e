import { describe, expect, test } from 'vitest';
import { resolveLlm } from '../../src/agents/providers/endpoints.ts';
import { resolveStt, resolveTts } from '../../src/agents/providers/speech-endpoints.ts';
import type { ModelEndpoint } from '../../src/engine/ports.ts';
import { ClientPool } from '../../src/providers/llm/clients.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { llmNeedsApiUrl, llmPresets, locateLlm } from '../../src/providers/llm/presets.ts';
import { speechUrl, transcriptionUrl } from '../../src/providers/speech/request.ts';
import { collect, requestFor } from '../support/scripted-model/model-step.ts';

const ownKey = 'sk-own-0123456789';
const fallback: ModelEndpoint = {
  api: 'CHAT_COMPLETIONS',
  apiUrl: 'http://127.0.0.1:9999/team/v1',
  apiKey: 'sk-environment-0123',
  model: 'environment-model',
};

interface Config {
  readonly provider: string;
  readonly model?: string;
  readonly apiUrl?: string;
  readonly api?: ModelEndpoint['api'];
  readonly completionsPath?: string;
  readonly options?: Record<string, unknown>;
}

function resolve(config: Config, keyOrigin: string | null = null): ModelEndpoint {
  const llm = { model: 'm', api: llmPresets[config.provider]?.api ?? 'CHAT_COMPLETIONS', ...config };
  return resolveLlm(llm, keyOrigin === null ? null : { origin: keyOrigin, value: ownKey }, fallback);
}

/** What is sent to an endpoint. */
async function send(endpoint: ModelEndpoint) {
  const sent: { url: string; headers: Headers; body: Record<string, unknown> }[] = [];
  const dial: typeof fetch = (input, init) => {
    sent.push({ url: String(input), headers: new Headers(init?.headers), body: JSON.parse(String(init?.body)) });
    return Promise.resolve(new Response('{}', { status: 500 }));
  };
  const tools = [{ name: 't', description: 'd', parameters: { type: 'object' } }];
  const request = requestFor(endpoint.api, '', { endpoint, tools });
  await collect(createOpenAiModel({ fetch: dial }).stream(request, new AbortController().signal));
  const [only] = sent;
  if (only === undefined) throw new Error('Nothing was sent.');
  return only;
}

const azure = 'https://r.openai.azure.com';
const version = { apiVersion: '2024-10-21' };
test.each<[Config, string]>([
  [{ provider: 'openai' }, 'https://api.openai.com/v1/responses'],
  [{ provider: 'openai', api: 'CHAT_COMPLETIONS' }, 'https://api.openai.com/v1/chat/completions'],
  [{ provider: 'openai', apiUrl: 'https://eu.api.openai.com/v1/' }, 'https://eu.api.openai.com/v1/responses'],
  [{ provider: 'groq' }, 'https://api.groq.com/openai/v1/chat/completions'],
  [{ provider: 'ollama' }, 'http://localhost:11434/v1/chat/completions'],
  [{ provider: 'ollama', apiUrl: 'http://gpu.lan:11434/v1' }, 'http://gpu.lan:11434/v1/chat/completions'],
  [{ provider: 'openrouter' }, 'https://openrouter.ai/api/v1/chat/completions'],
  [{ provider: 'vllm', apiUrl: 'http://10.0.0.7:8000/v1' }, 'http://10.0.0.7:8000/v1/chat/completions'],
  [{ provider: 'vllm', apiUrl: 'http://10.0.0.7:8000/v1', api: 'RESPONSES' }, 'http://10.0.0.7:8000/v1/responses'],
  [
    { provider: 'custom', apiUrl: 'https://x.example/api', completionsPath: '/v2/chat' },
    'https://x.example/api/v2/chat',
  ],
  [{ provider: 'custom', apiUrl: 'https://x.example', completionsPath: 'v2/chat' }, 'https://x.example/v2/chat'],
  [
    { provider: 'custom', apiUrl: 'https://x.example/v1?team=a', completionsPath: '/chat?b=1' },
    'https://x.example/v1/chat?b=1&team=a',
  ],
  [
    { provider: 'custom', apiUrl: 'https://x.example', completionsPath: '/{model}/chat', model: 'a/b c' },
    'https://x.example/a%2Fb%20c/chat',
  ],
  // Without a version in sight: version 1 of Azure's API.
  [{ provider: 'azure-openai', apiUrl: azure }, `${azure}/openai/v1/chat/completions`],
  [{ provider: 'azure-openai', apiUrl: `${azure}/`, api: 'RESPONSES' }, `${azure}/openai/v1/responses`],
  [{ provider: 'azure-openai', apiUrl: `${azure}/openai/v1/` }, `${azure}/openai/v1/chat/completions`],
  // With one: by deployments.
  [
    { provider: 'azure-openai', apiUrl: azure, options: version, model: 'gpt 4' },
    `${azure}/openai/deployments/gpt%204/chat/completions?api-version=2024-10-21`,
  ],
  [
    { provider: 'azure-openai', apiUrl: `${azure}/openai/`, options: version },
    `${azure}/openai/deployments/m/chat/completions?api-version=2024-10-21`,
  ],
  [
    { provider: 'azure-openai', apiUrl: azure, options: version, api: 'RESPONSES' },
    `${azure}/openai/responses?api-version=2024-10-21`,
  ],
  [
    { provider: 'azure-openai', apiUrl: `${azure}/openai/deployments/mine?api-version=2024-06-01` },
    `${azure}/openai/deployments/mine/chat/completions?api-version=2024-06-01`,
  ],
  [
    { provider: 'azure-openai', apiUrl: azure, options: version, completionsPath: '/other/path' },
    `${azure}/other/path?api-version=2024-10-21`,
  ],
])('The preset %j is at %s', async (config, url) => {
  const endpoint = resolve(config, new URL(url).origin);
  const { url: sent, headers, body } = await send(endpoint);
  expect(sent).toBe(url);
  expect(endpoint.guarded).toBe(true);
  expect(body.model).toBe(config.model ?? 'm');
  expect(body).not.toHaveProperty('apiVersion');
  const isAzure = config.provider === 'azure-openai';
  expect(headers.get('authorization')).toBe(isAzure ? null : `Bearer ${ownKey}`);
  expect(headers.get('api-key')).toBe(isAzure ? ownKey : null);
});

test('The deployment in an address follows the model of the turn', async () => {
  const endpoint = resolve({ provider: 'azure-openai', apiUrl: azure, options: version });
  const { url, headers } = await send({ ...endpoint, model: 'another' });
  expect(url).toBe(`${azure}/openai/deployments/another/chat/completions?api-version=2024-10-21`);
  expect([headers.get('api-key'), headers.get('authorization')]).toEqual([null, null]);
});

test.each(['.', '..'])('No model name leads out of the path to the deployments: %s', async (model) => {
  const endpoint = { ...resolve({ provider: 'azure-openai', apiUrl: azure, options: version }), model };
  let dialled = 0;
  const dial: typeof fetch = () => {
    dialled++;
    return Promise.resolve(new Response('{}', { status: 500 }));
  };
  const request = requestFor(endpoint.api, '', { endpoint });
  const step = await collect(createOpenAiModel({ fetch: dial }).stream(request, new AbortController().signal));
  expect(step.thrown).toMatchObject({ problem: 'UNKNOWN_MODEL', failure: { code: 'MODEL_ERROR', retryable: false } });
  expect(dialled).toBe(0);
  // Where the model does not stand in the path, the provider has to know.
  expect((await send({ ...resolve({ provider: 'openai' }), model })).body.model).toBe(model);
  const speech = { provider: 'azure-openai', apiUrl: azure, model, options: version };
  expect([resolveTts(speech, null, null), resolveStt(speech, null, null)]).toEqual([null, null]);
});

test.each<[string, Record<string, unknown> | null, string]>([
  [azure, null, '/openai/v1/{audio}'],
  [`${azure}/`, { apiVersion: 5 }, '/openai/v1/{audio}'],
  [`${azure}/openai`, null, '/openai/v1/{audio}'],
  [`${azure}/openai/v1/`, null, '/openai/v1/{audio}'],
  [azure, version, '/openai/deployments/my%20model/{audio}?api-version=2024-10-21'],
  [`${azure}/openai/`, version, '/openai/deployments/my%20model/{audio}?api-version=2024-10-21'],
  [`${azure}?api-version=2024-06-01`, null, '/openai/deployments/my%20model/{audio}?api-version=2024-06-01'],
  [`${azure}?api-version=2024-06-01`, version, '/openai/deployments/my%20model/{audio}?api-version=2024-10-21'],
  [`${azure}/openai/deployments/mine`, version, '/openai/deployments/mine/{audio}?api-version=2024-10-21'],
])('Speech of Azure is at its models: %s with %j', async (apiUrl, options, path) => {
  const own = { provider: 'azure-openai', apiUrl, model: 'my model', options };
  const [tts, stt] = [resolveTts(own, null, null), resolveStt(own, null, null)];
  if (tts === null || stt === null) throw new Error('It is nowhere.');
  const at = (what: string) => `${azure}${path.replace('{audio}', what)}`;
  expect(speechUrl(tts)).toBe(at('audio/speech'));
  expect(transcriptionUrl(stt)).toBe(at('audio/transcriptions'));
  const llm = await send(resolve({ ...own, options: options ?? {} }));
  expect(llm.url).toBe(at('chat/completions'));
  expect([tts.options, stt.options]).toEqual([{}, {}]);
});

test.each([
  '@evil.example/x',
  '//evil.example/x',
  'https://evil.example/x',
  '\\\\evil.example',
  '/../../../x',
  ':80@evil.example/',
])('No path leads to another host: %s', async (completionsPath) => {
  const { url } = await send(resolve({ provider: 'custom', apiUrl: 'https://x.example/v1', completionsPath }));
  expect(new URL(url).origin).toBe('https://x.example');
});

describe('options of a provider', () => {
  const apiUrl = 'https://x.example/v1';

  test('Options go into the body, over what stands there; null removes a parameter', async () => {
    const options = {
      top_p: 0.5,
      temperature: null,
      max_tokens: null,
      max_completion_tokens: 9,
      reasoning_effort: 'low',
    };
    const { body } = await send(resolve({ provider: 'custom', apiUrl, options }));
    expect(body).toMatchObject({ top_p: 0.5, max_completion_tokens: 9, reasoning_effort: 'low', stream: true });
    expect(body).not.toHaveProperty('temperature');
    expect(body).not.toHaveProperty('max_tokens');
  });

  test.each(['CHAT_COMPLETIONS', 'RESPONSES'] as const)(
    'Options never replace what makes the turn (%s)',
    async (api) => {
      const reserved = {
        model: 'dearer',
        messages: [],
        input: 'else',
        instructions: 'else',
        tools: [],
        stream: false,
        n: 5,
        previous_response_id: 'resp_1',
      };
      const plain = await send(resolve({ provider: 'custom', apiUrl, api }));
      for (const options of [reserved, { ...reserved, extra: 1 }]) {
        const { body } = await send(resolve({ provider: 'custom', apiUrl, api, options }));
        const { extra, ...rest } = body;
        expect(extra).toBe('extra' in options ? 1 : undefined);
        expect(rest).toEqual(plain.body);
      }
    },
  );

  test('Options that are not an object are ignored', () => {
    for (const options of [[1], 'x', 1, null]) {
      expect(
        resolveLlm({ provider: 'custom', model: 'm', api: 'RESPONSES', apiUrl, options }, null, fallback).options,
      ).toEqual({});
    }
  });
});

describe('keys of a provider', () => {
  test('Keys go to the origin that they were stored for, and to no other', () => {
    const at = (apiUrl: string) => resolve({ provider: 'custom', apiUrl }, 'https://x.example').apiKey;
    expect(at('https://x.example/v1')).toBe(ownKey);
    for (const apiUrl of [
      'https://x.example:8443/v1',
      'http://x.example/v1',
      'https://y.example/v1',
      fallback.apiUrl,
    ]) {
      expect(at(apiUrl)).not.toBe(ownKey);
    }
  });

  test('Keys of the environment go to its own address, which needs no guard', () => {
    for (const config of [
      { provider: 'demo' },
      { provider: 'whatever' },
      { provider: 'custom', apiUrl: fallback.apiUrl },
      { provider: 'custom', apiUrl: `${fallback.apiUrl}/` },
    ]) {
      expect(resolve(config)).toMatchObject({
        apiUrl: fallback.apiUrl,
        apiKey: fallback.apiKey,
        guarded: false,
        model: 'm',
      });
    }
    expect(resolveLlm(null, null, fallback)).toBe(fallback);
    expect(resolve({ provider: 'custom', apiUrl: fallback.apiUrl }, 'http://127.0.0.1:9999').apiKey).toBe(ownKey);
  });

  test('Keys of the environment do not replace a key that cannot be read', () => {
    const { apiUrl, apiKey } = fallback;
    const unreadable = { origin: new URL(apiUrl).origin, value: '' };
    const own = { provider: 'custom', model: 'm', api: 'CHAT_COMPLETIONS', apiUrl };
    expect(resolveLlm(own, unreadable, fallback)).toMatchObject({ apiUrl, apiKey: '' });
    const common = { apiUrl, apiKey, path: null, query: {}, keyStyle: 'bearer', options: {}, guarded: false } as const;
    const tts = { ...common, model: 'tts', voice: null, sampleRate: null };
    const stt = { ...common, model: 'stt', language: null, protocol: 'http' } as const;
    expect(resolveTts(own, unreadable, tts)).toMatchObject({ apiUrl, apiKey: '' });
    expect(resolveStt(own, unreadable, stt)).toMatchObject({ apiUrl, apiKey: '' });
    expect(resolveTts(own, null, tts)?.apiKey).toBe(apiKey);
  });

  test('Keys of the environment go nowhere else, not even on its host', () => {
    for (const config of [
      { provider: 'openai' },
      { provider: 'custom', apiUrl: 'http://127.0.0.1:9999/admin' },
      { provider: 'custom', apiUrl: 'http://127.0.0.1:9999/team/v1/..' },
      { provider: 'custom', apiUrl: 'http://127.0.0.1:9998/team/v1' },
      { provider: 'custom', apiUrl: 'https://127.0.0.1:9999/team/v1' },
      { provider: 'custom', apiUrl: fallback.apiUrl, completionsPath: '/../admin' },
      { provider: 'demo', completionsPath: '/../admin' },
    ]) {
      expect(resolve(config), JSON.stringify(config)).toMatchObject({ apiKey: '', guarded: true });
    }
  });
});

test('Presets that have no address need one from the input', () => {
  for (const [provider, preset] of Object.entries(llmPresets)) {
    const located = locateLlm({ provider, api: preset.api, apiUrl: null, completionsPath: null, options: null });
    expect(located === null, provider).toBe(llmNeedsApiUrl.has(provider) || provider === 'demo');
  }
});

test('Clients are cached by address, key and guard, and the oldest are dropped', () => {
  const dial: typeof fetch = () => Promise.reject(new Error('Not here.'));
  const pool = new ClientPool({ fetch: dial, guardedFetch: dial, timeoutMs: 1, maxRetries: 0 });
  const endpoint = resolve({ provider: 'openai' }, 'https://api.openai.com');
  const first = pool.get(endpoint);
  expect(pool.get({ ...endpoint, model: 'other' })).toBe(first);
  const others: ModelEndpoint[] = [
    { ...endpoint, apiKey: 'sk-other-0123456789' },
    { ...endpoint, apiUrl: 'https://x.example/v1' },
    { ...endpoint, guarded: false },
    { ...endpoint, keyStyle: 'api-key' },
  ];
  expect(new Set([first, ...others.map((other) => pool.get(other))]).size).toBe(5);
  for (let n = 0; n < 150; n++) {
    pool.get({ ...endpoint, apiKey: `sk-${n}` });
    pool.get(endpoint);
  }
  expect(pool.size).toBe(100);
  expect(pool.get(endpoint)).toBe(first);
});
