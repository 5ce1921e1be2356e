import { describe, expect, test } from 'vitest';
import type { HistoryItem, ModelRequest } from '../../src/engine/ports.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, collect, requestFor } from '../support/scripted-model/model-step.ts';
import { findRefusal } from '../support/scripted-model/strict-history.ts';
import { startStrictServer } from './field/strict-server.ts';

const apis: readonly Api[] = ['CHAT_COMPLETIONS', 'RESPONSES'];

const user = (content: string): HistoryItem => ({ role: 'user', content });
const assistant = (content: string): HistoryItem => ({ role: 'assistant', content, calls: [] });
const system = (content: string): HistoryItem => ({ role: 'system', content });
const call = (id: string, content = ''): HistoryItem[] => [
  { role: 'assistant', content, calls: [{ id, name: 'lookup_order', arguments: '{}' }] },
  { role: 'tool', callId: id, output: '{"ok":true}' },
];
const tool = { name: 'lookup_order', description: 'Finds an order.', parameters: { type: 'object', properties: {} } };

const histories: readonly [id: string, history: HistoryItem[], hasTools?: boolean][] = [
  ['H1 two user messages in a row after a failed turn', [user('one'), user('two'), user('three')]],
  ['H2 a user message after a tool result', [user('one'), ...call('c1'), user('two')]],
  ['H3 a system message between turns', [user('one'), assistant('Hi.'), system('A note.'), user('two')]],
  ['H4 several user messages in a row', [user('one'), assistant('Hi.'), user('two'), user('three')]],
  ['H9 a history that begins with an assistant message', [assistant('Welcome!'), user('one')]],
  ['H9 the same behind a system message', [system('A note.'), assistant('Welcome!'), user('one')]],
  ['P34 blank text before a tool call', [user('one'), ...call('c1', '\n\n'), assistant('Done.'), user('two')]],
  ['blank messages', [user('one'), assistant(' \n'), user('  '), user('two')]],
  ['two assistant messages in a row', [user('one'), assistant('Hi.'), assistant('Again.'), ...call('c1'), user('two')]],
  [
    'P04 ids that Mistral refuses',
    [user('one'), ...call('call_PTLPxyz'), ...call('functions.x:0'), assistant('Done.'), user('two')],
  ],
  [
    'tool calls of an agent that has no tools',
    [user('one'), ...call('c1', 'Let me see.'), assistant('Done.'), user('two')],
    false,
  ],
  [
    'all of it in one conversation',
    [
      assistant('Welcome!'),
      system('A note.'),
      user('one'),
      user('two'),
      ...call('c1', '\n'),
      user('three'),
      system('B'),
      assistant(' '),
      user('four'),
      ...call('c2', 'x'),
      ...call('c3'),
      assistant('Done.'),
      assistant('More.'),
      user('five'),
    ],
  ],
];

function writeRequest(api: Api, url: string, history: readonly HistoryItem[], hasTools: boolean): ModelRequest {
  const request = requestFor(api, url, { history, tools: hasTools ? [tool] : [] });
  return { ...request, endpoint: { ...request.endpoint, model: 'mistral-large-latest' } };
}

describe('Histories at a strict server', () => {
  const cases = apis.flatMap((api) =>
    histories.map(([id, history, hasTools = true]) => [id, api, history, hasTools] as const),
  );
  test.each(cases)('A strict server accepts %s (%s)', async (_, api, history, hasTools) => {
    await using server = await startStrictServer();
    const stream = createOpenAiModel().stream(
      writeRequest(api, server.url, history, hasTools),
      new AbortController().signal,
    );
    const result = await collect(stream);
    expect(server.refusals).toEqual([]);
    expect(result).toMatchObject({ text: 'Hi.', thrown: undefined });
    // Nothing that was said is lost.
    const sent = JSON.stringify(server.requests[0]);
    for (const item of history) {
      if (item.role !== 'tool' && item.content.trim() !== '') expect(sent).toContain(item.content.trim());
    }
  });

  test.each(apis)('Ids of calls stay the same in every request, and calls keep their results (%s)', async (api) => {
    await using server = await startStrictServer();
    const history = [
      user('one'),
      ...call('call_a'),
      ...call('call_b'),
      ...call('abcDEF123'),
      assistant('Done.'),
      user('two'),
    ];
    for (let step = 0; step < 2; step++) {
      await collect(
        createOpenAiModel().stream(writeRequest(api, server.url, history, true), new AbortController().signal),
      );
    }
    expect(server.requests[0]).toEqual(server.requests[1]);
    expect(JSON.stringify(server.requests[0])).toContain('abcDEF123');
  });

  test.each([
    [
      'two user messages',
      [
        { role: 'user', content: 'a' },
        { role: 'user', content: 'b' },
      ],
    ],
    [
      'an assistant first',
      [
        { role: 'assistant', content: 'a' },
        { role: 'user', content: 'b' },
      ],
    ],
    [
      'a system message later on',
      [
        { role: 'user', content: 'a' },
        { role: 'system', content: 'b' },
      ],
    ],
    ['blank text', [{ role: 'user', content: ' ' }]],
    [
      'an assistant last',
      [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    ],
  ])('The strict server refuses %s, over both APIs', (_, messages) => {
    expect(findRefusal('CHAT_COMPLETIONS', { model: 'm', messages })).not.toBeNull();
    expect(findRefusal('RESPONSES', { model: 'm', input: messages })).not.toBeNull();
  });
});

describe('What a provider wants back', () => {
  const state = (data: unknown) => ({ agentId: 'a', endpoint: 'e', data });
  const withState = (data: unknown): HistoryItem[] => {
    const items = call('c1').map((item) => (item.role === 'assistant' ? { ...item, state: state(data) } : item));
    return [user('one'), ...items];
  };
  async function send(api: 'CHAT_COMPLETIONS' | 'RESPONSES', history: HistoryItem[], model = 'm') {
    let sent = '';
    const dial: typeof fetch = (_, init) => {
      sent = String(init?.body);
      return Promise.resolve(new Response('data: [DONE]\n\n'));
    };
    const request = requestFor(api, 'http://model.test/v1', { history, tools: [tool] });
    const endpoint = { ...request.endpoint, model };
    await collect(createOpenAiModel({ fetch: dial }).stream({ ...request, endpoint }, new AbortController().signal));
    return JSON.parse(sent);
  }

  test('A thought signature goes back with its call, and a call of another model gets the substitute of Google', async () => {
    const extra = { extra_content: { google: { thought_signature: 'sig' } } };
    const own = await send('CHAT_COMPLETIONS', withState({ message: {}, calls: [extra] }), 'gemini-3-pro');
    expect(own.messages[2].tool_calls[0]).toMatchObject(extra);
    const other = await send('CHAT_COMPLETIONS', [user('one'), ...call('c1')], 'gemini-3-pro');
    const substitute = { google: { thought_signature: 'skip_thought_signature_validator' } };
    expect(other.messages[2].tool_calls[0].extra_content).toEqual(substitute);
  });

  test('What the provider wants back, reasoning_details and reasoning_content, goes back with the step', async () => {
    const message = { reasoning_content: 'Hmm.', reasoning_details: [{ type: 'reasoning.text', text: 'Hmm.' }] };
    const sent = await send('CHAT_COMPLETIONS', withState({ message, calls: null }));
    expect(sent.messages[2]).toMatchObject(message);
  });

  test('Encrypted reasoning goes back before the call', async () => {
    const sent = await send('RESPONSES', withState({ reasoning: [{ id: 'rs_1', encrypted_content: 'xyz' }] }));
    expect(sent.input.map((item: { type?: string }) => item.type)).toEqual([
      undefined,
      'reasoning',
      'function_call',
      'function_call_output',
    ]);
    expect(sent.input[1]).toEqual({ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'xyz' });
  });

  test('P17 The ids of Kimi come back as they were', async () => {
    const sent = await send('CHAT_COMPLETIONS', [user('one'), ...call('functions.lookup_order:0')]);
    expect(sent.messages[2].tool_calls[0].id).toBe('functions.lookup_order:0');
    expect(sent.messages[3].tool_call_id).toBe('functions.lookup_order:0');
  });
});
