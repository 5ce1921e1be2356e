import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, collect, requestFor } from '../support/scripted-model/model-step.ts';

// Model providers that write the arguments of tool calls without end.

const piece = (event: object) => `data: ${JSON.stringify(event)}\n\n`;
const chat = (calls: readonly object[]) => piece({ choices: [{ index: 0, delta: { tool_calls: calls } }] });
const long = 'x'.repeat(10_000);

/** What each path writes first, and then again and again. */
const streams: Readonly<Record<string, (n: number) => string>> = {
  'CHAT_COMPLETIONS/one': (n) =>
    chat([{ index: 0, ...(n === 0 && { id: 'c' }), function: { ...(n === 0 && { name: 'tool' }), arguments: long } }]),
  'CHAT_COMPLETIONS/many': (n) => chat([{ index: n, id: `c${n}`, function: { name: 'tool', arguments: '{}' } }]),
  'CHAT_COMPLETIONS/together': (n) =>
    chat([{ index: n, id: `c${n}`, function: { name: 'tool', arguments: long.repeat(20) } }]),
  'RESPONSES/one': (n) =>
    n === 0
      ? piece({
          type: 'response.output_item.added',
          output_index: 0,
          item: { type: 'function_call', call_id: 'c', name: 'tool' },
        })
      : piece({ type: 'response.function_call_arguments.delta', output_index: 0, delta: long }),
  'RESPONSES/many': (n) =>
    piece({
      type: 'response.output_item.added',
      output_index: n,
      item: { type: 'function_call', call_id: `c${n}`, name: 'tool', arguments: '{}' },
    }),
  'RESPONSES/together': (n) =>
    piece({
      type: 'response.output_item.added',
      output_index: n,
      item: { type: 'function_call', call_id: `c${n}`, name: 'tool', arguments: long.repeat(20) },
    }),
};

let written = 0;
const provider = createServer(async (request, response) => {
  const [, api = '', kind = ''] = request.url?.split('/') ?? [];
  const stream = streams[`${api}/${kind}`];
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  written = 0;
  for (let n = 0; stream && !response.destroyed; n += 1) {
    const block = stream(n);
    written += block.length;
    response.write(block);
    do await new Promise((resolve) => setImmediate(resolve));
    while (response.writableNeedDrain && !response.destroyed);
  }
});
beforeAll(() => new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  provider.closeAllConnections();
  provider.close();
});

const says: Readonly<Record<string, string>> = {
  one: 'The model wrote more than 262,144 characters of arguments for one tool call.',
  together: 'The model wrote more than 1,048,576 characters of arguments for the tool calls of one step.',
  many: 'The model made more than 128 tool calls in one step.',
};

test.each(
  (['CHAT_COMPLETIONS', 'RESPONSES'] as const satisfies Api[]).flatMap((api) =>
    Object.entries(says).map(([kind, message]) => ({ api, kind, message })),
  ),
)(
  'A model that writes tool calls without end ends its step as they arrive: $kind, $api',
  async ({ api, kind, message }) => {
    const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/${api}/${kind}`;
    const result = await collect(createOpenAiModel().stream(requestFor(api, url), new AbortController().signal));
    expect(result.failure).toMatchObject({ code: 'MODEL_ERROR', retryable: false });
    expect(result.failure?.message.startsWith(message)).toBe(true);
    expect(result.calls).toEqual([]);
    // The provider was left: what it had written by then is the limit and what was on its way.
    expect(written).toBeLessThan(16 * 1024 * 1024);
  },
);
