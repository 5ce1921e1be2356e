import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';

// A hundred agents and tools are made here, next to other tests: this is room, not an expectation.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const functionName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);
const offered = z.object({
  name: functionName,
  description: z.string().max(1_024),
  parameters: z.looseObject({ type: z.literal('object'), properties: z.record(z.string(), z.unknown()) }),
});
const answered = z.looseObject({ role: z.enum(['system', 'user']), content: z.string() });

/** What OpenAI takes for a model that reasons, and refuses with 400 where it is otherwise. */
const chatBody = z.strictObject({
  model: z.string(),
  messages: z.array(
    z.union([
      z.strictObject({
        role: z.literal('assistant'),
        content: z.string().nullish(),
        tool_calls: z
          .array(
            z.object({
              id: z.string().min(1).max(40),
              type: z.literal('function'),
              function: z.strictObject({ name: functionName, arguments: z.string() }),
            }),
          )
          .min(1)
          .optional(),
      }),
      z.strictObject({ role: z.literal('tool'), tool_call_id: z.string().min(1).max(40), content: z.string() }),
      answered,
    ]),
  ),
  tools: z
    .array(z.strictObject({ type: z.literal('function'), function: offered }))
    .max(128)
    .optional(),
  max_tokens: z.int().optional(),
  stream: z.literal(true),
  stream_options: z.unknown(),
});
const callId = z.string().min(1).max(64);
const responsesBody = z.strictObject({
  model: z.string(),
  instructions: z.string().optional(),
  input: z.array(
    z.union([
      z.strictObject({
        type: z.literal('function_call'),
        call_id: callId,
        name: functionName,
        arguments: z.string(),
      }),
      z.strictObject({ type: z.literal('function_call_output'), call_id: callId, output: z.string() }),
      z.strictObject({ role: z.literal('assistant'), content: z.string() }),
      answered,
    ]),
  ),
  tools: z
    .array(offered.extend({ type: z.literal('function'), strict: z.literal(false) }))
    .max(128)
    .optional(),
  max_output_tokens: z.int().min(16).optional(),
  store: z.literal(false),
  stream: z.literal(true),
});

/** Throws where OpenAI would answer 400. */
function judge({ api, body }: ReceivedRequest): void {
  (api === 'RESPONSES' ? responsesBody : chatBody).parse(body);
}

const pad = (n: number) => String(n).padStart(3, '0');
/** In UTF-16, 1,023 characters end in the middle of the emoji. */
const longDescription = `${'d'.repeat(1_022)}😀 and much more of the same`;
const manyTools = Array.from({ length: 100 }, (_, n) => `tool_${pad(n)}`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'requests-'));
  const tool = { method: 'POST', url: 'http://127.0.0.1:9/x', parameters: { type: 'object' } };
  const httpTools = [
    { ...tool, name: 'bare', description: longDescription },
    ...manyTools.map((name) => ({ ...tool, name, description: name })),
  ];
  await writeFile(join(folder, 'tools.json'), JSON.stringify({ version: 1, httpTools }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(['responses', 'chat_completions'])('requests that providers accept (%s)', (api) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ env: { MODEL_API: api, TOOLS_FILE: join(folder, 'tools.json') } });
  });
  afterEach(() => app.model.assertDone());
  afterAll(() => app[Symbol.asyncDispose]());

  /** Somebody new, in a conversation with an agent of theirs. */
  async function meet(tools: readonly string[] = []) {
    const socketClient = await openSocketClient(app, crypto.randomUUID());
    const agentId = await socketClient.createAgent({ name: 'a', instructions: 'Be brief.', tools });
    const conversationId = await socketClient.createConversation({ agentId });
    const runTurn = async () => {
      const events = await socketClient.chatTurn('ws', { conversationId }).rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
    };
    return { socketClient, agentId, conversationId, runTurn };
  }

  const callsSent = () => app.model.requests.at(-1)?.messages.flatMap((m) => (m.role === 'assistant' ? m.calls : []));
  const resultsSent = () => app.model.requests.at(-1)?.messages.flatMap((m) => (m.role === 'tool' ? [m.callId] : []));

  test('Providers accept a turn and a test of an agent for which nobody has set anything', async () => {
    const { socketClient, agentId, runTurn } = await meet();
    app.model.add({ text: 'Hi.', expect: judge }, { text: 'Hi.', expect: judge });
    await runTurn();
    const tested = await socketClient.ask('mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok } }', {
      id: agentId,
    });
    expect(tested.testAgent.ok).toBe(true);
    expect(app.model.requests.slice(-2).map(({ maxTokens }) => maxTokens)).toEqual([null, 8_000]);
  });

  test('Providers accept a call of a tool that does not exist, in its turn and in the next', async () => {
    const { runTurn } = await meet(['current_time']);
    app.model.add(
      {
        calls: [
          { id: 'call 1/2', name: 'functions.k8s list!', arguments: {} },
          { id: 'x'.repeat(60), name: 'n'.repeat(90), arguments: {} },
          { id: 'plain_1', name: '客服', arguments: {} },
        ],
        expect: judge,
      },
      { text: 'There is no such tool.', expect: judge },
      { text: 'As I said.', expect: judge },
    );
    await runTurn();
    const first = callsSent();
    expect(first?.map(({ name }) => name)).toEqual(['functions_k8s_list_', 'n'.repeat(64), '__']);
    expect(resultsSent()).toEqual(first?.map(({ id }) => id));
    expect(first?.[2]?.id).toBe('plain_1');
    await runTurn();
    // The same in every request: what providers have cached of the conversation stays good.
    expect(callsSent()).toEqual(first);
    expect(resultsSent()).toEqual(first?.map(({ id }) => id));
  });

  test('Providers accept calls that were imported under ids and names of another system', async () => {
    const { socketClient, conversationId, runTurn } = await meet(['current_time']);
    const ids = ['a', 'b'].map((end) => `${'i'.repeat(99)}${end}`);
    // Whoever knows how ids are replaced cannot make two of them the same.
    const ids2 = ['an id', 'an id '];
    const toolCalls = [...ids, ...ids2].map((callId) => ({
      callId,
      name: 'list all pods',
      arguments: '{}',
      result: 1,
    }));
    const add = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
    const message = { conversationId, role: 'ASSISTANT', content: 'Imported.' };
    await socketClient.ask(add, { input: { ...message, toolCalls } });
    app.model.add({ text: 'I see.', expect: judge });
    await runTurn();
    const sent = callsSent()?.map(({ id }) => id) ?? [];
    if (sent.length > 0) {
      await socketClient.ask(add, { input: { ...message, toolCalls: [{ ...toolCalls[0], callId: sent[0] }] } });
      app.model.add({ text: 'I see.', expect: judge });
      await runTurn();
    }
    const all = callsSent()?.map(({ id }) => id) ?? [];
    expect(new Set(all).size).toBe(all.length);
    expect(resultsSent()).toEqual(all);
  });

  test('Providers accept a tool whose schema has no properties, and descriptions that are too long', async () => {
    const { runTurn } = await meet(['bare']);
    app.model.add({ text: 'Hi.', expect: judge });
    await runTurn();
    const { toolParameters, toolDescriptions } = app.model.requests.at(-1) ?? {};
    expect(toolParameters?.get('bare')).toEqual({ type: 'object', properties: {} });
    // Cut before the emoji, and not in it.
    expect(toolDescriptions?.get('bare')).toBe(`${'d'.repeat(1_022)}…`);
  });

  test('Providers get at most 128 functions: all handoffs, then the first tools, and the log says what was left out', async () => {
    const alice = await openSocketClient(app, 'alice');
    await alice.ask('{ viewer { userId } }');
    const key = 'crowded';
    const rows = await app.app.db.agent.createManyAndReturn({
      data: Array.from({ length: 41 }, (_, n) => ({
        tenantId: 'acme',
        name: `${key}_${pad(n)}`,
        instructions: 'Help.',
        toolNames: n === 0 ? manyTools : [],
      })),
    });
    const ids = rows.map(({ id }) => `agt_${id}`);
    const edges = ids.slice(1).map((toAgentId) => ({ toAgentId, description: longDescription }));
    const agents = ids.map((agentId, n) => ({ agentId, handoffs: n === 0 ? edges : [] }));
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    const token = await app.token({ sub: 'root', roles: ['admin'] });
    const made = await app.query(create, { input: { key, name: key, rootAgentId: ids[0], agents } }, { token });
    expect(made.errors).toEqual([]);
    const conversationId = await alice.createConversation(key);
    app.model.add({ text: 'Hi.', expect: judge });
    const events = await alice.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const tools = app.model.requests.at(-1)?.tools ?? [];
    expect(tools.filter((name) => name.startsWith('transfer_to_'))).toHaveLength(40);
    expect(tools.filter((name) => name.startsWith('tool_'))).toEqual(manyTools.slice(0, 88));
    expect(app.logs).toContainEqual(expect.objectContaining({ level: 40, agentId: rows[0]?.id, leftOut: 12 }));
  });
});
