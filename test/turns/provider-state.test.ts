import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import { createTestDatabase, type TestDatabase } from '../support/database/database.ts';
import { createScriptedModel, type ScriptedModel, type TestStep } from '../support/scripted-model/script.ts';

/** What no client and no other provider may ever see. */
const marker = 'c2lnbmF0dXJl-of-the-provider';

interface Provider {
  readonly api: 'CHAT_COMPLETIONS' | 'RESPONSES';
  readonly model: string;
  /** A step that calls this tool, as the provider streams it. */
  readonly call: (id: string, name: string, args: string) => readonly object[];
  /** The part of the request that has to come back with the call. */
  readonly find: (body: unknown, id: string) => unknown;
  readonly wanted: unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: the bodies of requests are asserted.
type Body = any;
const chunk = (delta: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const messageOf = (body: Body, id: string) =>
  body.messages.find((message: Body) => message.tool_calls?.some((call: Body) => call.id === id));
const functionOf = (name: string, args: string) => ({ type: 'function', function: { name, arguments: args } });
const details = [{ type: 'reasoning.encrypted', data: marker, id: 'r1', index: 0, format: 'anthropic-claude-v1' }];
const signature = { google: { thought_signature: marker } };

const providers: Readonly<Record<string, Provider>> = {
  'P02 Gemini’s thought_signature': {
    api: 'CHAT_COMPLETIONS',
    model: 'gemini-3-pro',
    call: (id, name, args) => [
      chunk({ tool_calls: [{ index: 0, id, ...functionOf(name, args), extra_content: signature }] }),
      chunk({}, 'tool_calls'),
    ],
    find: (body, id) => messageOf(body, id)?.tool_calls.find((call: Body) => call.id === id).extra_content,
    wanted: signature,
  },
  'P02b OpenRouter’s reasoning_details': {
    api: 'CHAT_COMPLETIONS',
    model: 'minimax/minimax-m2',
    call: (id, name, args) => [
      chunk({ reasoning: 'Hmm.', reasoning_details: details }),
      chunk({ tool_calls: [{ index: 0, id, ...functionOf(name, args) }] }),
      chunk({}, 'tool_calls'),
    ],
    find: (body, id) => messageOf(body, id)?.reasoning_details,
    wanted: details,
  },
  'P03 DeepSeek’s reasoning_content': {
    api: 'CHAT_COMPLETIONS',
    model: 'deepseek-reasoner',
    call: (id, name, args) => [
      chunk({ reasoning_content: `Hmm, ${marker.slice(0, 10)}` }),
      chunk({ reasoning_content: marker.slice(10) }),
      chunk({ tool_calls: [{ index: 0, id, ...functionOf(name, args) }] }),
      chunk({}, 'tool_calls'),
    ],
    find: (body, id) => messageOf(body, id)?.reasoning_content,
    wanted: `Hmm, ${marker}`,
  },
  'P42 encrypted reasoning of the Responses API': {
    api: 'RESPONSES',
    model: 'gpt-oss-120b',
    call: (id, name, args) => {
      const item = { type: 'function_call', id: `fc_${id}`, call_id: id, name, arguments: args };
      const reasoning = { type: 'reasoning', id: `rs_${id}`, summary: [], encrypted_content: marker };
      return [
        { type: 'response.output_item.done', output_index: 0, item: reasoning },
        { type: 'response.output_item.added', output_index: 1, item },
        { type: 'response.output_item.done', output_index: 1, item },
        { type: 'response.completed', response: { status: 'completed', output: [reasoning, item] } },
      ];
    },
    find: (body: Body, id) => {
      const at = body.input.findIndex((item: Body) => item.call_id === id && item.type === 'function_call');
      return at > 0 && body.input[at - 1].type === 'reasoning' ? body.input[at - 1].encrypted_content : undefined;
    },
    wanted: marker,
  },
};
/** Reasoning that its provider streams as text is shown to clients as reasoning: only that is not secret. */
const isShown = (name: string) => name.startsWith('P03');

let database: TestDatabase;
let model: ScriptedModel;
let other: ScriptedModel;
let app: TestApp;
let alice: SocketClient;
/** All that clients were told. */
let told: string[] = [];

async function start(): Promise<void> {
  const hosts = [model.url, other.url].map((url) => new URL(url).host).join(',');
  app = await startTestApp({ databaseUrl: database.url, env: { MODEL_ALLOWED_HOSTS: hosts } });
  alice = await openSocketClient(app, 'alice');
}
async function restart(): Promise<void> {
  await app[Symbol.asyncDispose]();
  await start();
}
beforeEach(async () => {
  [database, model, other] = [await createTestDatabase(), await createScriptedModel(), await createScriptedModel()];
  told = [];
  await start();
});
afterEach(async () => {
  await app[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

async function say(conversationId: string, input: Record<string, unknown> = {}) {
  const events = await alice.chatTurn('sse', { conversationId, ...input }).rest();
  told.push(JSON.stringify(events));
  return events.at(-1)?.__typename;
}

/** All that the graph says of a conversation. */
async function readAll(conversationId: string): Promise<void> {
  const { conversation } = await alice.ask(documents.conversation, { id: conversationId });
  told.push(JSON.stringify(conversation));
  for (const { node } of conversation.runs.edges) {
    told.push(JSON.stringify(await alice.ask(documents.run, { id: node.id })));
    told.push(JSON.stringify(await alice.runEvents('ws', node.id).rest()));
  }
}

describe.each(Object.entries(providers))('What a provider wants back: %s', (name, provider) => {
  const createAgent = (at: ScriptedModel, changes: Record<string, unknown> = {}) => {
    const { api, model: modelName } = provider;
    const llm = { provider: 'custom', model: modelName, apiUrl: at.url, api, ...changes };
    return alice.createAgent({ name: `a${crypto.randomUUID()}`, llm, tools: ['current_time', 'refund_order'] });
  };
  const expectState =
    (id: string, isSent: boolean): NonNullable<TestStep['expect']> =>
    ({ body }) => {
      if (isSent) expect(provider.find(body, id)).toEqual(provider.wanted);
      else expect(JSON.stringify(body)).not.toContain(marker);
    };
  const called = (id: string, tool = 'current_time', args = '{}'): TestStep => ({
    raw: [...provider.call(id, tool, args), 'data: [DONE]\n\n'],
  });

  test('It goes back in the next step, in later turns and after a restart, and clients never see it', async () => {
    const conversationId = await alice.createConversation({ agentId: await createAgent(model) });
    model.add(called('call_1'), { text: 'It is late.', expect: expectState('call_1', true) });
    expect(await say(conversationId)).toBe('RunCompleted');
    model.add({ text: 'Yes.', expect: expectState('call_1', true) });
    expect(await say(conversationId)).toBe('RunCompleted');
    await restart();
    const second = called('call_2');
    model.add(
      { ...second, expect: expectState('call_1', true) },
      {
        text: 'Still.',
        expect: (request) => {
          expectState('call_1', true)(request);
          expectState('call_2', true)(request);
        },
      },
    );
    expect(await say(conversationId)).toBe('RunCompleted');
    model.assertDone();
    await readAll(conversationId);
    if (!isShown(name)) expect(told.join()).not.toContain(marker);
    expect(JSON.stringify(app.logs)).not.toContain(marker);
  });

  test('It goes back after an approval that another process decided', async () => {
    const conversationId = await alice.createConversation({ agentId: await createAgent(model) });
    model.add(called('call_1', 'refund_order', '{"orderNumber":"1042"}'));
    const reader = alice.chatTurn('ws', { conversationId, content: 'Refund 1042' });
    const { runId, toolCall } = await reader.until('ApprovalRequested');
    await restart();
    model.add({ text: 'Refunded.', expect: expectState('call_1', true) });
    await alice.ask('mutation ($id: ID!) { approveToolCall(toolCallId: $id, approve: true) { id } }', {
      id: toolCall?.id,
    });
    const events = await alice.runEvents('ws', runId).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    model.add({ text: 'Yes.', expect: expectState('call_1', true) });
    expect(await say(conversationId)).toBe('RunCompleted');
    model.assertDone();
    await readAll(conversationId);
    if (!isShown(name)) expect(told.join()).not.toContain(marker);
  });

  test('It goes to no other agent, model or provider, and back to its own afterwards', async () => {
    const agentId = await createAgent(model);
    const conversationId = await alice.createConversation({ agentId });
    model.add(called('call_1'), { text: 'It is late.' });
    expect(await say(conversationId)).toBe('RunCompleted');
    other.add({ text: 'Hi.', expect: expectState('call_1', false) });
    expect(await say(conversationId, { agentId: await createAgent(other) })).toBe('RunCompleted');
    // At the same provider: another agent, another model of the same agent, and another API.
    model.add(...Array.from({ length: 3 }, () => ({ text: 'Hi.', expect: expectState('call_1', false) })));
    expect(await say(conversationId, { agentId: await createAgent(model) })).toBe('RunCompleted');
    expect(await say(conversationId, { agentId, model: 'another-model' })).toBe('RunCompleted');
    const api = provider.api === 'RESPONSES' ? 'CHAT_COMPLETIONS' : 'RESPONSES';
    expect(await say(conversationId, { agentId: await createAgent(model, { api }) })).toBe('RunCompleted');
    model.add({ text: 'Hi.', expect: expectState('call_1', true) });
    expect(await say(conversationId, { agentId })).toBe('RunCompleted');
    model.assertDone();
    other.assertDone();
  });
});
