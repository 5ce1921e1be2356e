import { beforeAll, describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient, type SocketClient } from '../support/chat.ts';

const app = shareApp({ env: { RATE_LIMIT_TOOLS: '30/60' } });
let user: SocketClient;

beforeAll(async () => {
  user = await openSocketClient(app, 'alice');
});

const document = `
  mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { name ok result error durationMs } }`;

async function execute(input: Record<string, unknown>, token: string | null = user.token) {
  return app.query(document, { input }, { token });
}

describe('executeTool', () => {
  test('executeTool runs a tool as the viewer, in a conversation of theirs', async () => {
    const conversationId = await user.createConversation();
    const { data, errors } = await execute({ name: 'echo_context', arguments: {}, conversationId });
    expect(errors).toEqual([]);
    expect(data.executeTool).toEqual({
      name: 'echo_context',
      ok: true,
      error: null,
      durationMs: expect.any(Number),
      result: expect.objectContaining({ userId: 'alice', tenantId: 'acme', agent: null }),
    });
    expect(data.executeTool.result.conversationId).toContain(conversationId.slice(5));
  });

  test.each([null, [], '', '[]', 'null'])('A model may call a tool without arguments with %j', async (args) => {
    app.model.add({
      calls: [{ name: 'current_time', arguments: typeof args === 'string' ? args : JSON.stringify(args) }],
    });
    app.model.add({ text: 'It is late.' });
    const conversationId = await user.createConversation();
    const events = await user.chatTurn('ws', { conversationId }).rest();
    const done = events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall;
    expect(done).toMatchObject({ name: 'current_time', status: 'SUCCEEDED' });
  });

  test('executeTool returns what a model would be told of bad arguments', async () => {
    const { data } = await execute({ name: 'lookup_order', arguments: { orderNumber: 'many' } });
    const error = expect.stringContaining('digits of an order number');
    expect(data.executeTool).toMatchObject({ ok: false, result: null, error });
  });

  test.each<[string, Record<string, unknown>, string, string[]?]>([
    ['an unknown tool', { name: 'no_such_tool', arguments: {} }, 'NOT_FOUND'],
    ['no name', { name: '', arguments: {} }, 'BAD_USER_INPUT', ['input', 'name']],
    ['a list of arguments', { name: 'current_time', arguments: [] }, 'BAD_USER_INPUT', ['input', 'arguments']],
    ['a text of arguments', { name: 'current_time', arguments: '{}' }, 'BAD_USER_INPUT', ['input', 'arguments']],
    [
      'too many arguments',
      { name: 'current_time', arguments: { x: 'y'.repeat(70_000) } },
      'BAD_USER_INPUT',
      ['input', 'arguments'],
    ],
    [
      'a malformed conversation',
      { name: 'current_time', arguments: {}, conversationId: 'conv_1' },
      'BAD_USER_INPUT',
      ['input', 'conversationId'],
    ],
    [
      'no such conversation',
      { name: 'current_time', arguments: {}, conversationId: `conv_${crypto.randomUUID()}` },
      'NOT_FOUND',
    ],
  ])('executeTool refuses %s', async (_what, input, code, path) => {
    const { data, errors } = await execute(input);
    expect(data).toBeNull();
    expect(errors[0]?.extensions).toEqual(path ? { code, path } : { code });
  });

  test('executeTool refuses a conversation of somebody else, and a request without a token', async () => {
    const { conversationId } = await openChat(app, 'assistant', { sub: 'bob' });
    const input = { name: 'current_time', arguments: {}, conversationId };
    expect((await execute(input)).errors[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await execute(input, null)).errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });

  test('executeTool has a rate limit', async () => {
    const token = await app.token({ sub: 'busy' });
    const answers = [];
    for (let n = 0; n < 31; n++) answers.push(await execute({ name: 'current_time', arguments: {} }, token));
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(30);
    expect(answers.at(-1)?.errors[0]).toMatchObject({
      message: 'Too many tool calls: at most 30 in 60 seconds.',
      extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) },
    });
  });
});

test('Tools are listed in a stable order', async () => {
  const list = async () => (await user.ask('{ tools { name source parameters } }')).tools;
  const [first, second] = [await list(), await list()];
  expect(first).toEqual(second);
  expect(first.length).toBeGreaterThan(2);
});
