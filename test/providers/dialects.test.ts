import { expect, test } from 'vitest';
import type { ModelRequest } from '../../src/engine/ports.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, collect, requestFor } from '../support/scripted-model/model-step.ts';

/** Plays bytes, cut as given, as the answer of a compatible server. `end` says how the body ends. */
async function playBytes(
  api: Api,
  chunks: readonly (string | Uint8Array)[],
  end: 'close' | 'break' | 'hang' = 'close',
) {
  let sent: unknown;
  const dial: typeof fetch = (_, init) => {
    sent = JSON.parse(String(init?.body));
    const rest = [...chunks];
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const chunk = rest.shift();
        if (chunk !== undefined) controller.enqueue(Buffer.from(chunk));
        else if (end === 'close') controller.close();
        else if (end === 'break') controller.error(new TypeError('terminated'));
        else return new Promise(() => {});
        return undefined;
      },
    });
    return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
  };
  const model = createOpenAiModel({ fetch: dial, timeoutMs: 200 });
  const result = await collect(model.stream(requestFor(api, 'http://model.test/v1'), new AbortController().signal));
  return { ...result, sent };
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const calls = (...fragments: object[]) => chunk({ tool_calls: fragments });
const stop = chunk({}, 'stop');

test('Characters and lines of a stream may be cut anywhere', async () => {
  const bytes = Buffer.from(`\ufeff: hello\r\n\r\n${chunk({ content: 'grün 😀' }).replaceAll('\n', '\r\n')}${stop}`);
  const result = await playBytes(
    'CHAT_COMPLETIONS',
    [...bytes].map((byte) => Uint8Array.of(byte)),
  );
  expect(result).toMatchObject({ text: 'grün 😀', thrown: undefined });
});

test('An event that lacks only its blank line counts', async () => {
  const result = await playBytes('CHAT_COMPLETIONS', [chunk({ content: 'Hi' }), stop.trimEnd()]);
  expect(result.finished).toMatchObject({ reason: 'stop', usage: null });
});

test('Deltas that arrive together are one event, and the order of text and reasoning stays', async () => {
  const result = await playBytes('CHAT_COMPLETIONS', [
    chunk({ reasoning: 'hm' }) + chunk({ reasoning_content: 'm' }) + chunk({ content: 'a' }) + chunk({ content: 'b' }),
    chunk({ content: 'c' }) + stop,
  ]);
  expect(result.seen).toEqual([
    { type: 'reasoning', delta: 'hmm' },
    { type: 'text', delta: 'ab' },
    { type: 'text', delta: 'c' },
    { type: 'finished', reason: 'stop', usage: null },
  ]);
});

test.each(['break', 'hang'] as const)(
  'An answer that is complete stands, whatever the connection does: %s',
  async (end) => {
    const result = await playBytes('CHAT_COMPLETIONS', [chunk({ content: 'All said.' }), stop], end);
    expect(result).toMatchObject({ text: 'All said.', thrown: undefined, finished: { reason: 'stop' } });
  },
);

test('Calls count even if the finish reason is stop', async () => {
  const call = { index: 0, id: 'a', function: { name: 'weather', arguments: '{}' } };
  const result = await playBytes('CHAT_COMPLETIONS', [calls(call), stop]);
  expect(result.finished).toMatchObject({ reason: 'calls' });
});

test.each([
  ['without an index', undefined],
  ['all with the same index', 0],
])('Parallel calls are told apart %s', async (_, index) => {
  const result = await playBytes('CHAT_COMPLETIONS', [
    calls({ index, id: 'a', function: { name: 'weather', arguments: '{"city":' } }),
    calls({ index, function: { arguments: '"Ulm"}' } }),
    calls({ index, id: 'b', function: { name: 'weather', arguments: '{}' } }),
    chunk({}, 'tool_calls'),
  ]);
  expect(result.calls).toEqual([
    { id: 'a', name: 'weather', arguments: '{"city":"Ulm"}' },
    { id: 'b', name: 'weather', arguments: '{}' },
  ]);
});

test('A reasoning count beside the completion is added to the total', async () => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 45,
    completion_tokens_details: { reasoning_tokens: 30 },
  };
  const last = `data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`;
  const result = await playBytes('CHAT_COMPLETIONS', [chunk({ content: 'Hi' }), stop, last]);
  expect(result.finished).toMatchObject({ usage: { inputTokens: 10, outputTokens: 35, reasoningTokens: 30 } });
});

test.each([
  ['a rate limit', { code: 429, message: 'slow down' }, 'RATE_LIMITED', true],
  ['a rate limit by name', { type: 'rate_limit_error' }, 'RATE_LIMITED', true],
  ['an overlong conversation', { code: 'context_length_exceeded' }, 'CONTEXT_TOO_LONG', false],
  ['a policy', { code: 'content_policy_violation' }, 'MODEL_REFUSED', false],
  ['a key', { type: 'authentication_error' }, 'MODEL_ERROR', false],
  ['a bare string', 'boom', 'MODEL_ERROR', true],
])('An error within a stream is classified by its kind: %s', async (_, error, code, retryable) => {
  const data = JSON.stringify({ error });
  for (const api of ['CHAT_COMPLETIONS', 'RESPONSES'] as const) {
    const result = await playBytes(api, [`data: ${data}\n\n`]);
    expect(result.failure).toMatchObject({ code, retryable });
  }
});

test('Two messages of one response stay apart', async () => {
  const events = [
    { type: 'response.output_item.added', output_index: 0, item: { type: 'message' } },
    { type: 'response.output_text.delta', output_index: 0, delta: 'First.' },
    { type: 'response.output_item.added', output_index: 1, item: { type: 'message' } },
    { type: 'response.output_text.delta', output_index: 1, delta: 'Second.' },
    { type: 'response.something_new', output_index: 1 },
    { type: 'response.completed', response: { status: 'completed' } },
  ];
  const result = await playBytes('RESPONSES', [events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')]);
  expect(result).toMatchObject({ text: 'First.\n\nSecond.', finished: { reason: 'stop', usage: null } });
});

test.each([
  ['arguments of no call', { type: 'response.function_call_arguments.delta', output_index: 3, delta: '{' }],
  ['a call without an index', { type: 'response.output_item.added', item: { type: 'function_call' } }],
  ['an end without a response', { type: 'response.completed' }],
])('A Responses stream that is inconsistent fails: %s', async (_, event) => {
  const result = await playBytes('RESPONSES', [`data: ${JSON.stringify(event)}\n\n`]);
  expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: true });
});

test('The token limit has the name that the host knows', async () => {
  const hosts: [string, object, Record<string, unknown>?][] = [
    ['https://api.openai.com/v1', { max_completion_tokens: 2000 }],
    ['http://localhost:11434/v1', { max_tokens: 2000 }],
    ['https://openai.com.example.org/v1', { max_tokens: 2000 }],
    // Two at once are refused: the agent's own options know the name that its model takes.
    ['https://api.openai.com/v1', { max_tokens: 7 }, { max_tokens: 7 }],
    ['http://localhost:11434/v1', { max_completion_tokens: 7 }, { max_completion_tokens: 7 }],
    ['https://api.openai.com/v1', { max_completion_tokens: 2000 }, { max_tokens: null }],
    ['https://api.openai.com/v1', {}, { max_completion_tokens: null }],
  ];
  for (const [apiUrl, expected, options = {}] of hosts) {
    let sent: Record<string, unknown> = {};
    const dial: typeof fetch = (_, init) => {
      sent = JSON.parse(String(init?.body));
      return Promise.resolve(new Response(stop, { headers: { 'content-type': 'text/event-stream' } }));
    };
    const plain = requestFor('CHAT_COMPLETIONS', apiUrl);
    const request: ModelRequest = { ...plain, endpoint: { ...plain.endpoint, options } };
    await collect(createOpenAiModel({ fetch: dial }).stream(request, new AbortController().signal));
    const { max_tokens, max_completion_tokens } = sent;
    expect({ max_tokens, max_completion_tokens }).toEqual({
      max_tokens: undefined,
      max_completion_tokens: undefined,
      ...expected,
    });
  }
});
