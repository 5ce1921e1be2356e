import type { Api } from '../../support/scripted-model/model-step.ts';

/** A stream as a provider was reported to send it, and what has to come out of it. */
export interface FieldStream {
  /** The row of the table of reports, and the symptom. */
  readonly id: string;
  readonly api: Api;
  /** The frames of the body. Objects are written as `data:` events, strings as they are. */
  readonly frames: readonly (string | object)[];
  /** How the connection ends. */
  readonly end?: 'close' | 'break' | 'stay open';
  readonly contentType?: string;
  readonly expect: {
    readonly text?: string;
    readonly reasoning?: string;
    /** Name and arguments of each call. */
    readonly calls?: readonly (readonly [name: string, args: string])[];
    readonly reason?: 'stop' | 'calls' | 'length';
    /** Input, output and reasoning tokens. */
    readonly usage?: readonly [input: number, output: number, reasoning: number] | null;
    readonly state?: unknown;
    readonly failure?: { readonly code: string; readonly retryable: boolean };
  };
}

const done = 'data: [DONE]\n\n';
const chunk = (delta: object, finish: string | null = null, more: object = {}) => ({
  choices: [{ index: 0, delta, finish_reason: finish, ...more }],
});
const text = (content: string, finish: string | null = null) => chunk({ content }, finish);
const calls = (...list: object[]) => chunk({ tool_calls: list });
const called = (name: string, args: unknown, more: object = {}) => ({
  index: 0,
  ...more,
  function: { name, arguments: args },
});
const failed = { code: 'MODEL_ERROR', retryable: true } as const;

const chat = (
  id: string,
  frames: FieldStream['frames'],
  expect: FieldStream['expect'],
  more: object = {},
): FieldStream => ({
  id,
  api: 'CHAT_COMPLETIONS',
  frames,
  expect,
  ...more,
});
const responses = (id: string, frames: FieldStream['frames'], expect: FieldStream['expect']): FieldStream => ({
  id,
  api: 'RESPONSES',
  frames,
  expect,
});

const event = (type: string, fields: object = {}) => ({ type: `response.${type}`, ...fields });
const completed = (response: object = {}) => event('completed', { response: { status: 'completed', ...response } });
const message = (written: string) => ({
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_text', text: written }],
});
const functionCall = { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'lookup_order' };
const order = '{"orderNumber":"1042"}';
const answer = { text: 'Hello', reason: 'stop' } as const;
const overflow = { code: 'CONTEXT_TOO_LONG', retryable: false } as const;

/** Reasons of providers that do not mean that the answer is complete. */
const otherReasons = [
  ...['SAFETY', 'RECITATION', 'PROHIBITED_CONTENT', 'content_filter: violence', 'sensitive'].map(
    (reason) => [reason, { failure: { code: 'MODEL_REFUSED', retryable: false } }] as const,
  ),
  ...['MALFORMED_FUNCTION_CALL', 'insufficient_system_resource', 'network_error', 'error', 'something_new'].map(
    (reason) => [reason, { failure: failed }] as const,
  ),
  ...['max_tokens', 'MAX_TOKENS', 'model_length'].map(
    (reason) => [reason, { text: 'Hello', reason: 'length' }] as const,
  ),
  ...['eos', 'end_turn', 'STOP', 'stop_sequence'].map((reason) => [reason, answer] as const),
];

export const streams: readonly FieldStream[] = [
  // Tool calls
  chat(
    'P01b calls that share index 0 and have no id',
    [
      calls(called('lookup_order', order, { id: '' }), called('current_time', '{}', { id: '' })),
      chunk({}, 'tool_calls'),
      done,
    ],
    {
      calls: [
        ['lookup_order', order],
        ['current_time', '{}'],
      ],
      reason: 'calls',
    },
  ),
  chat(
    'P01b the same in two chunks',
    [calls(called('lookup_order', order)), calls(called('current_time', '{}')), chunk({}, 'tool_calls'), done],
    {
      calls: [
        ['lookup_order', order],
        ['current_time', '{}'],
      ],
    },
  ),
  chat(
    'P01c two calls of one tool in one chunk',
    [calls(called('lookup_order', order), called('lookup_order', '{"orderNumber":"7"}')), chunk({}, 'stop'), done],
    {
      calls: [
        ['lookup_order', order],
        ['lookup_order', '{"orderNumber":"7"}'],
      ],
    },
  ),
  chat(
    'a name in pieces',
    [calls(called('lookup_', '')), calls(called('order', '')), calls(called('', order)), chunk({}, 'tool_calls'), done],
    {
      calls: [['lookup_order', order]],
    },
  ),
  chat(
    'a name that every fragment repeats',
    [
      calls(called('lookup_order', '{"orderNumber"', { id: 'c1' })),
      calls(called('lookup_order', ':"1042"}', { id: 'c1' })),
      chunk({}, 'tool_calls'),
      done,
    ],
    {
      calls: [['lookup_order', order]],
    },
  ),
  chat(
    'P07 arguments as an object',
    [calls(called('lookup_order', { orderNumber: '1042' }, { id: 'c1' })), chunk({}, 'tool_calls'), done],
    {
      calls: [['lookup_order', order]],
    },
  ),
  ...[null, '[]', '""', '', 'null', []].map((args) =>
    chat(
      `P18 arguments ${JSON.stringify(args)}`,
      [calls(called('current_time', args, { id: 'c1' })), chunk({}, 'tool_calls'), done],
      {
        calls: [['current_time', '{}']],
      },
    ),
  ),
  chat(
    'arguments as JSON in a string',
    [calls(called('lookup_order', JSON.stringify(order), { id: 'c1' })), chunk({}, 'tool_calls'), done],
    {
      calls: [['lookup_order', order]],
    },
  ),
  chat(
    'P34 blank text before a call',
    [text('\n\n'), calls(called('current_time', '{}', { id: 'c1' })), chunk({}, 'tool_calls'), done],
    {
      text: '',
      calls: [['current_time', '{}']],
    },
  ),
  // What the provider wants back
  chat(
    'P02 a thought signature',
    [
      calls({ ...called('current_time', '{}', { id: 'c1' }), extra_content: { google: { thought_signature: 'sig' } } }),
      chunk({}, 'stop'),
      done,
    ],
    {
      calls: [['current_time', '{}']],
      state: { message: {}, calls: [{ extra_content: { google: { thought_signature: 'sig' } } }] },
    },
  ),
  chat(
    'P02b reasoning details in pieces',
    [
      chunk({ reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Let ' }] }),
      chunk({ reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'me see.', signature: 's' }] }),
      calls(called('current_time', '{}', { id: 'c1' })),
      chunk({}, 'tool_calls'),
      done,
    ],
    {
      state: {
        message: { reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Let me see.', signature: 's' }] },
        calls: null,
      },
    },
  ),
  chat(
    'P03 reasoning_content',
    [
      chunk({ reasoning_content: 'Hm' }),
      chunk({ reasoning_content: 'm.' }),
      calls(called('current_time', '{}', { id: 'c1' })),
      chunk({}, 'tool_calls'),
      done,
    ],
    {
      reasoning: 'Hmm.',
      state: { message: { reasoning_content: 'Hmm.' }, calls: null },
    },
  ),
  responses(
    'P42 encrypted reasoning',
    [
      event('output_item.done', {
        output_index: 0,
        item: { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'xyz' },
      }),
      event('output_item.done', { output_index: 1, item: { ...functionCall, arguments: order } }),
      completed(),
    ],
    { calls: [['lookup_order', order]], state: { reasoning: [{ id: 'rs_1', encrypted_content: 'xyz' }] } },
  ),
  // How an answer ends
  chat(
    'P05c an empty reason, then the connection is cut',
    [text('Hel', ''), text('lo', ''), text(' wor', '')],
    { text: 'Hello wor', failure: failed },
    { end: 'break' },
  ),
  chat('P05c the same with a clean end', [text('Hel', ''), text('lo', '')], { failure: failed }),
  chat(
    'P05f the reason "null", then the connection is cut',
    [text('Hel', 'null'), text('lo', 'null')],
    { failure: failed },
    { end: 'break' },
  ),
  chat('P05d "stop" before the text', [text('', 'stop'), text('Hello'), chunk({}, 'stop'), done], answer),
  chat('P05d "stop" with the first text', [text('Hel', 'stop'), text('lo'), chunk({}, 'stop'), done], answer),
  chat(
    'P05d "stop" too early, then the connection is cut',
    [text('', 'stop'), text('Hel')],
    { failure: failed },
    { end: 'break' },
  ),
  chat('"stop" in every chunk', [text('Hel', 'stop'), text('lo', 'stop'), done], answer),
  chat(
    'P11 no reason, but [DONE]',
    [text('Hel'), text('lo'), { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }, done],
    { ...answer, usage: [3, 2, 0] },
  ),
  ...otherReasons.map(([reason, expect]) =>
    chat(`P39 the reason ${reason}`, [text('Hello'), chunk({}, reason), done], expect),
  ),
  chat('P41 an answer that is cut', [text('Hello'), chunk({}, 'length'), done], { text: 'Hello', reason: 'length' }),
  // Silence
  chat('P15b an empty answer', [text(''), chunk({}, 'stop'), done], {
    failure: { code: 'EMPTY_ANSWER', retryable: true },
  }),
  chat('P15 the limit spent on reasoning', [chunk({ reasoning_content: 'Hm' }), chunk({}, 'length'), done], {
    failure: { code: 'EMPTY_ANSWER', retryable: false },
  }),
  chat('P15c a cut tool call', [calls(called('lookup_order', '{"orderN', { id: 'c1' })), chunk({}, 'length'), done], {
    failure: { code: 'EMPTY_ANSWER', retryable: false },
  }),
  responses(
    'P15 the limit spent on reasoning',
    [
      event('output_item.done', { output_index: 0, item: { type: 'reasoning', summary: [] } }),
      event('incomplete', {
        response: {
          status: 'incomplete',
          incomplete_details: { reason: 'max_output_tokens' },
          output: [{ type: 'reasoning', summary: [] }],
        },
      }),
    ],
    { failure: { code: 'EMPTY_ANSWER', retryable: false } },
  ),
  responses('P15b an empty answer', [completed({ output: [] })], {
    failure: { code: 'EMPTY_ANSWER', retryable: true },
  }),
  // Frames
  chat(
    'P06 content as a list of parts',
    [
      chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }] }),
      chunk({ content: [{ type: 'text', text: 'Hel' }] }),
      text('lo'),
      chunk({}, 'stop'),
      done,
    ],
    { ...answer, reasoning: 'Hm.' },
  ),
  chat('P08 empty data lines', [text('Hel'), 'data: \n\n', 'data:\n\n', text('lo'), chunk({}, 'stop'), done], answer),
  chat(
    'P08b pings and retry times',
    [
      'event: ping\ndata: ""\n\n',
      text('Hel'),
      'retry: 3000\n\n',
      ': comment\n\n',
      'event: ping\ndata: {"type":"ping"}\n\n',
      text('lo'),
      chunk({}, 'stop'),
      done,
    ],
    answer,
  ),
  chat(
    'P33 a connection that stays open after the answer',
    [text('Hello'), chunk({}, 'stop'), { choices: [], usage: { prompt_tokens: 3, completion_tokens: 1 } }],
    { ...answer, usage: [3, 1, 0] },
    { end: 'stay open' },
  ),
  chat('P08c [DONE] with blanks', [text('Hello'), chunk({}, 'stop'), 'data:   [DONE]  \n\n'], answer),
  chat('P09 a stream that is labelled application/json', [text('Hello'), chunk({}, 'stop'), done], answer, {
    contentType: 'application/json',
  }),
  chat(
    'P10 one JSON answer',
    [
      JSON.stringify({
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 3, completion_tokens: 2 },
      }),
    ],
    { ...answer, usage: [3, 2, 0] },
    { contentType: 'application/json' },
  ),
  chat(
    'P10 one JSON answer that holds a call, labelled as a stream',
    [
      JSON.stringify({
        choices: [
          {
            message: {
              content: null,
              tool_calls: [{ id: 'c1', type: 'function', function: { name: 'lookup_order', arguments: order } }],
            },
            finish_reason: 'tool_calls',
          },
        ],
      }),
    ],
    { calls: [['lookup_order', order]] },
  ),
  responses(
    'P10 one JSON answer',
    [
      JSON.stringify({
        object: 'response',
        status: 'completed',
        output: [message('Hello')],
        usage: { input_tokens: 3, output_tokens: 2 },
      }),
    ],
    { ...answer, usage: [3, 2, 0] },
  ),
  chat('P28 reasoning in tags', [text('<think>secret plan</think>\n\nHello'), chunk({}, 'stop'), done], {
    ...answer,
    reasoning: 'secret plan',
  }),
  chat(
    'P28 tags in pieces',
    [
      text('\n<th'),
      text('ink>\nse'),
      text('cret</thi'),
      text('nk>'),
      text('\n\nHel'),
      text('lo'),
      chunk({}, 'stop'),
      done,
    ],
    { ...answer, reasoning: 'secret' },
  ),
  chat('a text that only looks like a tag', [text('<thin'), text('g> is no tag'), chunk({}, 'stop'), done], {
    text: '<thing> is no tag',
  }),
  chat('a text with a tag in the middle', [text('Use <think> here'), chunk({}, 'stop'), done], {
    text: 'Use <think> here',
  }),
  // Usage
  chat(
    'P12 usage in the choice',
    [text('Hello'), chunk({}, 'stop', { usage: { prompt_tokens: 3, completion_tokens: 2 } }), done],
    { ...answer, usage: [3, 2, 0] },
  ),
  chat(
    'usage in every chunk',
    [
      { ...text('Hel'), usage: { prompt_tokens: 3, completion_tokens: 1 } },
      { ...text('lo'), usage: { prompt_tokens: 3, completion_tokens: 2 } },
      chunk({}, 'stop'),
      done,
    ],
    { ...answer, usage: [3, 2, 0] },
  ),
  chat(
    'P37 a total larger than the sum',
    [
      text('Hello'),
      chunk({}, 'stop'),
      { choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 315 } },
      done,
    ],
    { usage: [10, 305, 300] },
  ),
  chat(
    'usage under other names',
    [text('Hello'), chunk({}, 'stop'), { choices: [], usage: { input_tokens: 3, output_tokens: 2 } }, done],
    { usage: [3, 2, 0] },
  ),
  // Responses servers
  responses(
    'P13 events without output_index',
    [
      event('output_item.added', { item: { ...functionCall, arguments: '' } }),
      event('function_call_arguments.delta', { item_id: 'fc_1', delta: '{"orderNumber"' }),
      event('function_call_arguments.delta', { delta: ':"1042"}' }),
      event('output_item.done', { item: { ...functionCall, arguments: order } }),
      completed(),
    ],
    { calls: [['lookup_order', order]] },
  ),
  responses(
    'P14 the answer only in response.completed',
    [
      event('created', { response: {} }),
      completed({ output: [message('Hello')], usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 } }),
    ],
    { ...answer, usage: [3, 2, 0] },
  ),
  responses('P14 a call only in response.completed', [completed({ output: [{ ...functionCall, arguments: order }] })], {
    calls: [['lookup_order', order]],
  }),
  responses(
    'P14b the text only in done events',
    [
      event('output_text.done', { output_index: 0, text: 'Hello' }),
      event('output_item.done', { output_index: 0, item: message('Hello') }),
      completed({ output: [message('Hello')] }),
    ],
    answer,
  ),
  responses(
    'everything said four times',
    [
      event('output_item.added', { output_index: 0, item: { type: 'message' } }),
      event('output_text.delta', { output_index: 0, delta: 'Hel' }),
      event('output_text.delta', { output_index: 0, delta: 'lo' }),
      event('output_text.done', { text: 'Hello' }),
      event('output_item.done', { output_index: 0, item: message('Hello') }),
      completed({ output: [message('Hello')] }),
    ],
    answer,
  ),
  responses(
    'unknown events',
    [event('something_new', { x: 1 }), event('output_text.delta', { delta: 'Hello' }), completed()],
    answer,
  ),
  responses(
    'P28 reasoning in tags',
    [
      event('output_text.delta', { delta: '<think>plan</think>' }),
      event('output_text.delta', { delta: 'Hello' }),
      completed(),
    ],
    { ...answer, reasoning: 'plan' },
  ),
  // Errors inside a stream
  ...(['CHAT_COMPLETIONS', 'RESPONSES'] as const).flatMap((api): FieldStream[] => [
    {
      id: 'P22 an error with a code',
      api,
      frames: [{ error: { message: 'Bad request', code: 400 } }, done],
      expect: { failure: { code: 'MODEL_ERROR', retryable: false } },
    },
    {
      id: 'P22 an object that is an error',
      api,
      frames: [
        {
          object: 'error',
          message: "This model's maximum context length is 16384 tokens.",
          type: 'BadRequestError',
          code: 400,
        },
        done,
      ],
      expect: { failure: overflow },
    },
    {
      id: 'P22 a list with an error',
      api,
      frames: [[{ error: { code: 429, message: 'Quota', status: 'RESOURCE_EXHAUSTED' } }], done],
      expect: { failure: { code: 'RATE_LIMITED', retryable: true } },
    },
  ]),
  chat('P22 a 502 in the middle', [text('Hel'), { error: { code: 502, message: 'Bad gateway' } }, done], {
    text: 'Hel',
    failure: failed,
  }),
  chat(
    'P22 an error as one JSON body',
    [JSON.stringify({ error: { message: 'overloaded', code: 503 } })],
    { failure: failed },
    { contentType: 'application/json' },
  ),
  chat('a web page', ['<!doctype html><title>Sign in</title>'], { failure: failed }, { contentType: 'text/html' }),
];
