import { describe, expect, test } from 'vitest';
import type { HistoryItem } from '../../src/engine/ports.ts';
import { putSecret } from '../../src/secrets/stored-secrets.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { unpackArchive } from '../support/archive.ts';
import { documents, openChat, openNewUser, openSocketClient, type SocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { createBillingConversation, decide, refund, startWaitingTurn, tryDecide } from './decide.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200' } });

/** Each has a tenant’s orders to share, so each test refunds an order of its own. */

const orderStatus = async (number: string) =>
  (await app.app.db.order.findUniqueOrThrow({ where: { tenantId_number: { tenantId: 'acme', number } } })).status;

const runDocument = `query ($id: ID!) { run(id: $id) {
  status lastSeq agent { name } messages { content status }
  toolCalls { id callId name arguments editedArguments decidedBy status result error startedAt finishedAt }
  handoffs { toAgent { name } } usage { modelCalls inputTokens } finishedAt
} }`;

/** What the model was given after the user message of the turn. */
function lastHistory(): readonly HistoryItem[] {
  const messages = app.model.requests.at(-1)?.messages ?? [];
  return messages.slice(messages.findLastIndex((message) => message.role === 'user') + 1);
}

describe('a call that needs approval', () => {
  test('A call that needs approval waits; approved, it is run, and the turn goes on in the same stream', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ text: 'I refund it.', calls: [refund('r1')] });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient);
    expect(sequenceOf(reader.events)).toEqual([
      'RunStarted',
      'RoutingDecided',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'ApprovalRequested',
    ]);
    const asked = {
      callId: 'r1',
      name: 'refund_order',
      arguments: '{"orderNumber":"1042"}',
      result: null,
      error: null,
    };
    expect(reader.events.at(-1)).toMatchObject({ toolCall: { ...asked, status: 'AWAITING_APPROVAL' } });
    expect(await orderStatus('1042')).toBe('shipped');
    const waiting = (await socketClient.ask(runDocument, { id: runId })).run;
    expect(waiting).toMatchObject({ status: 'REQUIRES_ACTION', lastSeq: reader.events.at(-1)?.seq, finishedAt: null });
    expect(waiting.toolCalls).toMatchObject([{ ...asked, status: 'AWAITING_APPROVAL', decidedBy: null }]);
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation.activeRun).toMatchObject({ id: runId, status: 'REQUIRES_ACTION' });
    // No process holds it.
    expect(app.app.runs.running.size).toBe(0);

    app.model.add({ text: 'It is refunded.' });
    expect(await decide(socketClient, runId, 'r1')).toMatchObject({ id: runId });
    const events = await reader.rest();
    expect(sequenceOf(events).slice(6)).toEqual([
      'ToolCallStarted',
      'ToolCallCompleted',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'RunCompleted',
    ]);
    const completed = events.find((event) => event.__typename === 'ToolCallCompleted');
    expect(completed).toMatchObject({
      toolCall: { callId: 'r1', status: 'SUCCEEDED', result: { number: '1042', status: 'refunded' } },
    });
    expect(await orderStatus('1042')).toBe('refunded');
    expect(lastHistory()).toEqual([
      {
        role: 'assistant',
        content: 'I refund it.',
        calls: [{ id: 'r1', name: 'refund_order', arguments: '{"orderNumber":"1042"}' }],
      },
      { role: 'tool', callId: 'r1', output: expect.stringContaining('refunded') },
    ]);
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run).toMatchObject({ status: 'COMPLETED', lastSeq: events.at(-1)?.seq, usage: { modelCalls: 2 } });
    expect(run.toolCalls).toMatchObject([{ status: 'SUCCEEDED', decidedBy: expect.stringMatching(/^user-/) }]);
    expect(run.messages.map(({ content }: { content: string }) => content)).toEqual([
      'I refund it.',
      'It is refunded.',
    ]);
    // Without a gap over the pause, live and from the archive.
    const replayed = await socketClient.runEvents('sse', runId).rest();
    expect(sequenceOf(replayed)).toEqual(sequenceOf(events));
    expect(replayed.at(-1)?.seq).toBe(events.at(-1)?.seq);
    const { archive, pause } = await app.app.db.run.findUniqueOrThrow({
      where: { id: runId.slice(4) },
      include: { archive: true, pause: true },
    });
    const log = await unpackArchive(runId, archive?.events ?? '');
    expect(log.map(({ seq }) => seq)).toEqual(log.map((_event, index) => index + 1));
    expect(log.at(-1)).toMatchObject({ type: 'RunCompleted', seq: events.at(-1)?.seq });
    expect(pause).toBeNull();
  });

  test('A call that is denied is not run, and the model is told', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r1', '1043')] });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'I may not.' });
    const denied = await decide(socketClient, runId, 'r1', false);
    expect(denied.toolCalls).toMatchObject([{ callId: 'r1', status: 'DENIED', error: 'A person denied this call.' }]);
    const events = await reader.rest();
    expect(sequenceOf(events).slice(3)).toEqual([
      'ToolCallCompleted',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'RunCompleted',
    ]);
    expect(events[3]).toMatchObject({ toolCall: { callId: 'r1', status: 'DENIED', result: null } });
    expect(lastHistory().at(-1)).toEqual({
      role: 'tool',
      callId: 'r1',
      output: JSON.stringify({ error: 'A person denied this call.' }),
    });
    expect(await orderStatus('1043')).toBe('in preparation');
    // The next turn knows of it, in the same words.
    const before = lastHistory();
    app.model.add({ text: 'As I said.' });
    await socketClient.chatTurn('ws', { conversationId, content: 'Really?' }).rest();
    expect(app.model.requests.at(-1)?.messages.slice(1, 3)).toEqual(before);
  });

  test('A call that is approved with edited arguments is run with these; the model is shown them, its own are stored', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r1', '1044')] });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'Refunded.' });
    const edited = '{ "orderNumber": "1046" }';
    await decide(socketClient, runId, 'r1', true, edited);
    const events = await reader.rest();
    for (const type of ['ToolCallStarted', 'ToolCallCompleted']) {
      const event = events.find(({ __typename }) => __typename === type);
      expect(event).toMatchObject({ toolCall: { arguments: '{"orderNumber":"1044"}' } });
    }
    expect([await orderStatus('1044'), await orderStatus('1046')]).toEqual(['delivered', 'refunded']);
    const call = { id: 'r1', name: 'refund_order', arguments: edited };
    expect(lastHistory()[0]).toEqual({ role: 'assistant', content: '', calls: [call] });
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run.toolCalls).toMatchObject([{ arguments: '{"orderNumber":"1044"}', editedArguments: edited }]);
    app.model.add({ text: 'Yes.' });
    await socketClient.chatTurn('sse', { conversationId, content: 'Sure?' }).rest();
    expect(app.model.requests.at(-1)?.messages[1]).toEqual({ role: 'assistant', content: '', calls: [call] });
  });

  test.each([
    ['not JSON', '{"orderNumber":'],
    ['not against the schema', '{"orderNumber":1042}'],
    ['not with unknown fields', '{"orderNumber":"1042","all":true}'],
    ['no array', '[]'],
    ['not against what the tool itself looks at', '{"orderNumber":"abc"}'],
  ])('Nobody is asked to approve arguments that cannot work: %s', async (_what, written) => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [{ id: 'bad', name: 'refund_order', arguments: written }] }, { text: 'Sorry.' });
    const conversationId = await createBillingConversation(socketClient);
    const events = await socketClient.chatTurn('ws', { conversationId }).rest();
    expect(sequenceOf(events).slice(2, 4)).toEqual(['ToolCallStarted', 'ToolCallCompleted']);
    expect(events[3]).toMatchObject({ toolCall: { callId: 'bad', status: 'FAILED', error: expect.any(String) } });
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
  });

  test('A call is asked for again in a later step of the same turn', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('same', '1048')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'Then this.', calls: [refund('same', '1049')] });
    await decide(socketClient, runId, 'same', false);
    // The provider begins again with its ids: they are unique in the run all the same.
    const second = await reader.until('ApprovalRequested');
    expect(second.toolCall?.callId).not.toBe('same');
    app.model.add({ text: 'Fine.' });
    await decide(socketClient, runId, second.toolCall?.callId ?? '', true);
    const events = await reader.rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run.toolCalls).toMatchObject([{ status: 'DENIED' }, { status: 'SUCCEEDED' }]);
    expect(run.usage.modelCalls).toBe(3);
    expect(await orderStatus('1049')).toBe('refunded');
  });
});

describe('several calls of one step', () => {
  test('Calls that need no approval are run immediately; the others wait together, and the handoff comes last', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({
      calls: [
        refund('a', '1045'),
        { id: 'look', name: 'lookup_order', arguments: { orderNumber: '1045' } },
        { id: 'none', name: 'no_such_tool', arguments: {} },
        { id: 'go', name: 'transfer_to_orders', arguments: { reason: 'deliveries' } },
        refund('b', '1047'),
      ],
    });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient, {}, 2);
    const seen = reader.events.slice(2).map(({ __typename, toolCall }) => `${__typename} ${toolCall?.callId}`);
    expect(seen.slice(0, 2)).toEqual(['ToolCallStarted look', 'ToolCallStarted none']);
    expect(seen.slice(2, 4).sort()).toEqual(['ToolCallCompleted look', 'ToolCallCompleted none']);
    expect(seen.slice(4)).toEqual(['ApprovalRequested a', 'ApprovalRequested b']);

    // The second first; nothing happens until both are decided, and what was decided stays.
    const asked = app.model.requests.length;
    const half = await decide(socketClient, runId, 'b', true);
    expect(half).toMatchObject({ status: 'REQUIRES_ACTION', lastSeq: reader.events.at(-1)?.seq });
    expect(half.toolCalls.map(({ status }: { status: string }) => status)).toEqual([
      'AWAITING_APPROVAL',
      'SUCCEEDED',
      'FAILED',
      'PENDING',
    ]);
    expect(await orderStatus('1047')).toBe('shipped');
    const again = await tryDecide(app, socketClient, { runId, callId: 'b', approve: false });
    expect(again.errors).toMatchObject([{ extensions: { code: 'CONFLICT', runId } }]);
    expect(app.model.requests).toHaveLength(asked);

    app.model.add({ text: 'Orders here.', match: ({ instructions }) => instructions.includes('orders specialist') });
    await decide(socketClient, runId, 'a', false);
    const events = await reader.rest();
    expect(events.slice(8).map(({ __typename, toolCall }) => [__typename, toolCall?.callId])).toEqual([
      ['ToolCallCompleted', 'a'],
      ['ToolCallStarted', 'b'],
      ['ToolCallCompleted', 'b'],
      ['HandoffOccurred', undefined],
      ['MessageStarted', undefined],
      ['TextDelta', undefined],
      ['MessageCompleted', undefined],
      ['RunCompleted', undefined],
    ]);
    expect(lastHistory().map((item) => (item.role === 'tool' ? item.callId : item.role))).toEqual([
      'assistant',
      'a',
      'look',
      'none',
      'go',
      'b',
    ]);
    expect([await orderStatus('1045'), await orderStatus('1047')]).toEqual([
      'returned, refund of € 24.00 on its way',
      'refunded',
    ]);
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run).toMatchObject({ status: 'COMPLETED', agent: { name: 'orders' }, handoffs: [{}] });
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation.activeAgent).toEqual({ name: 'orders' });
  });

  test('The steps of a turn are counted across its pauses', async () => {
    await using own = await startTestApp({ env: { MAX_STEPS: '2' } });
    const socketClient = await openSocketClient(own, 'alice');
    own.model.add({ calls: [refund('1')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    own.model.add({ calls: [refund('2', '1043')] });
    await decide(socketClient, runId, '1');
    await reader.until('ApprovalRequested');
    await decide(socketClient, runId, '2');
    expect((await reader.rest()).at(-1)).toMatchObject({
      __typename: 'RunFailed',
      error: { code: 'MAX_STEPS_EXCEEDED' },
    });
  });
});

describe('the right to decide', () => {
  test.each<[string, Record<string, unknown>, string, RegExp]>([
    ['arguments that are not JSON', { approve: true, arguments: '{' }, 'arguments', /^arguments must be a JSON object/],
    ['arguments that are a list', { approve: true, arguments: '[1]' }, 'arguments', /JSON object/],
    ['arguments that are null', { approve: true, arguments: 'null' }, 'arguments', /JSON object/],
    ['arguments against the schema', { approve: true, arguments: '{"orderNumber":5}' }, 'arguments', /schema/],
    [
      'arguments that the tool itself refuses',
      { approve: true, arguments: '{"orderNumber":"abc"}' },
      'arguments',
      /digits of an order number/,
    ],
    [
      'arguments of more than 64 KB',
      { approve: true, arguments: `{"a":"${'€'.repeat(30_000)}"}` },
      'arguments',
      /64 KB/,
    ],
    [
      'arguments that cannot be stored',
      { approve: true, arguments: '{"orderNumber":"\\u0000"}' },
      'arguments',
      /U\+0000/,
    ],
    [
      'arguments nested without end',
      { approve: true, arguments: `{"a":${'['.repeat(500)}${']'.repeat(500)}}` },
      'arguments',
      /deeper/,
    ],
    ['arguments with a denial', { approve: false, arguments: '{}' }, 'arguments', /denied/],
    ['an empty call id', { approve: true, toolCallId: '' }, 'toolCallId', /tcl_<uuid>/],
    ['the call id that the model chose', { approve: true, toolCallId: 'r1' }, 'toolCallId', /tcl_<uuid>/],
    ['a run id that is none', { approve: true, runId: 'conv_1' }, 'runId', /runId/],
  ])('A decision with %s is BAD_USER_INPUT, and nothing is decided', async (_what, over, field, message) => {
    const { socketClient, runId } = await waitForever();
    const variables = { runId, callId: 'r1', approve: true, ...over };
    const { errors } = await tryDecide(app, socketClient, variables);
    expect(errors).toMatchObject([
      { message: expect.stringMatching(message), extensions: { code: 'BAD_USER_INPUT', path: [field] } },
    ]);
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run).toMatchObject({ status: 'REQUIRES_ACTION', toolCalls: [{ status: 'AWAITING_APPROVAL' }] });
  });

  test('Another user of the tenant is FORBIDDEN to decide; for another tenant the run does not exist; without a token it is UNAUTHENTICATED', async () => {
    const { socketClient, runId } = await waitForever();
    const stranger = { ...socketClient, token: await app.token({ sub: 'stranger' }) };
    const admin = { ...socketClient, token: await app.token({ sub: 'boss', roles: ['admin'] }) };
    const foreign = { ...socketClient, token: await app.token({ sub: 'approver-0', tenant: 'other' }) };
    const variables = { runId, callId: 'r1', approve: true };
    const [byStranger, byAdmin, byForeign] = await Promise.all(
      [stranger, admin, foreign].map((who) => tryDecide(app, who, variables)),
    );
    expect(byStranger?.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect(byAdmin?.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    const unknown = await app.query(
      `query ($id: ID!) { run(id: $id) { id } }`,
      { id: runId },
      { token: foreign.token },
    );
    expect(byForeign?.errors[0]?.extensions.code).toBe(unknown.errors[0]?.extensions.code);
    const { run } = await socketClient.ask(runDocument, { id: runId });
    expect(run).toMatchObject({ status: 'REQUIRES_ACTION', toolCalls: [{ status: 'AWAITING_APPROVAL' }] });
  });

  test('A decision on a call that does not exist is NOT_FOUND; on one that needs none it is CONFLICT', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({
      calls: [{ id: 'look', name: 'lookup_order', arguments: { orderNumber: '1' } }, refund('r1', '1')],
    });
    const { runId } = await startWaitingTurn(socketClient);
    const absent = await tryDecide(app, socketClient, { runId, callId: 'r2', approve: true });
    expect(absent.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    const other = await tryDecide(app, socketClient, { runId, callId: 'look', approve: true });
    expect(other.errors).toMatchObject([{ extensions: { code: 'CONFLICT', runId } }]);
    await socketClient.ask(documents.cancelRun, { id: runId });
  });

  test('A second or late decision is CONFLICT, with the same decision and with another', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r1', '7')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'Hm.' });
    await decide(socketClient, runId, 'r1');
    await reader.rest();
    for (const approve of [true, false]) {
      const { errors, status } = await tryDecide(app, socketClient, { runId, callId: 'r1', approve });
      const message = expect.stringMatching(/approved already/);
      expect(errors).toMatchObject([{ message, extensions: { code: 'CONFLICT', runId } }]);
      expect(status).toBe(409);
    }
    app.model.add({ calls: [refund('r2', '7')] });
    const next = await startWaitingTurn(socketClient);
    await socketClient.ask(documents.cancelRun, { id: next.runId });
    const late = await tryDecide(app, socketClient, { runId: next.runId, callId: 'r2', approve: true });
    expect(late.errors).toMatchObject([
      { message: expect.stringMatching(/cancelled/), extensions: { code: 'CONFLICT' } },
    ]);
  });

  test('Of ten decisions on the same call at the same time one is taken', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r1', '8')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'Once.' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => tryDecide(app, socketClient, { runId, callId: 'r1', approve: n % 2 === 0 })),
    );
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
    for (const { errors } of answers) if (errors[0]) expect(errors[0].extensions.code).toBe('CONFLICT');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
  });

  /** A run that waits until its test is over. */
  async function waitForever(): Promise<{ socketClient: SocketClient; runId: string }> {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r1', '6')] });
    const { runId } = await startWaitingTurn(socketClient);
    return { socketClient, runId };
  }
});

test('sendMessage returns when the run waits for approval, and again when it is over', async () => {
  const socketClient = await openNewUser(app);
  const conversationId = await createBillingConversation(socketClient);
  app.model.add({ text: 'Wait.', calls: [refund('r1', '9')] });
  const input = { conversationId, content: 'Refund 9', idempotencyKey: 'k', onDisconnect: 'CANCEL' };
  const { sendMessage } = await socketClient.ask(documents.sendMessage, { input });
  expect(sendMessage).toMatchObject({ status: 'REQUIRES_ACTION', messages: [{ content: 'Wait.' }] });
  app.model.add({ text: 'Over.' });
  await decide(socketClient, sendMessage.id, 'r1', false);
  // The same key attaches: past the old request, to the end.
  const again = await socketClient.ask(documents.sendMessage, { input });
  expect(again.sendMessage).toMatchObject({ id: sendMessage.id, status: 'COMPLETED' });
});

describe('the keys of a waiting run', () => {
  const secret = 'sk-never-to-be-stored';

  test('The key of the environment is not stored with a waiting run, and is used when it goes on', async () => {
    await using own = await startTestApp({ env: { OPENAI_API_KEY: secret } });
    const socketClient = await openSocketClient(own, 'alice');
    own.model.add({ calls: [refund('r1')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    const pause = await own.app.db.runPause.findUniqueOrThrow({ where: { runId: runId.slice(4) } });
    expect(JSON.stringify(pause.state)).toContain('billing specialist');
    expect(JSON.stringify(pause.state)).not.toContain(secret);
    own.model.add({ text: 'Fine.' });
    await decide(socketClient, runId, 'r1');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
    expect(own.model.requests.at(-1)?.headers.authorization).toBe(`Bearer ${secret}`);
    expect(JSON.stringify(own.logs)).not.toContain(secret);
  });

  test.each([
    ['goes on where it began, with its key', false],
    ['that has moved to another provider meanwhile gives the new key to nobody else', true],
  ])('An agent with a provider of its own %s', async (_what, moves) => {
    await using provider = await createScriptedModel();
    await using own = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: '127.0.0.1/' } });
    const { db, runs } = own.app;
    const socketClient = await openSocketClient(own, 'alice');
    const conversationId = await createBillingConversation(socketClient);
    const { id: agentId } = await db.agent.findFirstOrThrow({ where: { name: 'billing', tenantId: 'acme' } });
    const configure = async (apiUrl: string, value: string) => {
      const llm = { provider: 'custom', model: 'own-model', api: 'CHAT_COMPLETIONS', apiUrl };
      await db.agent.update({ where: { id: agentId }, data: { llm } });
      const { origin } = new URL(apiUrl);
      await putSecret(db, runs.agents.keys, { agentId, tenantId: 'acme' }, { name: 'llm', origin, value });
      runs.agents.config.drop('acme');
    };
    await configure(provider.url, secret);
    provider.add({ calls: [refund('r1', '5')] });
    const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
    const pause = await db.runPause.findUniqueOrThrow({ where: { runId: runId.slice(4) } });
    expect(JSON.stringify(pause.state)).toContain(provider.url);
    expect(JSON.stringify(pause.state)).not.toContain(secret);
    if (moves) await configure(own.model.url, 'sk-of-another-place');
    provider.add({ text: 'Fine.' });
    await decide(socketClient, runId, 'r1');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const { model, headers } = provider.requests.at(-1) ?? {};
    expect(model).toBe('own-model');
    expect(headers?.authorization).toBe(moves ? undefined : `Bearer ${secret}`);
    expect(own.model.requests).toEqual([]);
  });
});

describe('an agent with a key of its own at the address of the environment', () => {
  const remove = 'mutation ($id: ID!) { deleteAgent(id: $id) }';
  const dropKey = `mutation ($id: ID!) {
    updateAgent(id: $id, input: { llm: { provider: "demo", model: "own-model", apiKey: "" } }) { id } }`;

  test.each([
    ['goes on with it', 'query ($id: ID!) { agent(id: $id) { id } }', 'Bearer sk-own'],
    ['that was deleted meanwhile goes on with none', remove, undefined],
    ['whose key was taken away meanwhile goes on with none', dropKey, undefined],
  ])('An agent with its own key at the environment’s address, waiting: %s', async (_what, change, expected) => {
    await using own = await startTestApp({ env: { OPENAI_API_KEY: 'sk-of-the-environment' } });
    const socketClient = await openSocketClient(own, 'alice');
    const agentId = await socketClient.createAgent({
      name: 'own',
      instructions: 'Help.',
      tools: ['refund_order'],
      llm: { provider: 'demo', model: 'own-model', apiKey: 'sk-own' },
    });
    const conversationId = await socketClient.createConversation({ agentId });
    own.model.add({ calls: [refund('r1')] });
    const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
    expect(own.model.requests.at(-1)?.headers.authorization).toBe('Bearer sk-own');
    await socketClient.ask(change, { id: agentId });
    own.model.add({ text: 'Fine.' });
    await decide(socketClient, runId, 'r1');
    await reader.rest();
    expect(own.model.requests).toHaveLength(2);
    expect(own.model.requests.at(-1)).toMatchObject({ model: 'own-model' });
    expect(own.model.requests.at(-1)?.headers.authorization).toBe(expected);
  });
});

test('The demo asks for approval of a refund, which is approved and reported; a second one says when that was, and of what', {
  timeout: 240_000,
}, async () => {
  await using own = await startTestApp({ env: { OPENAI_BASE_URL: '', MODEL: '' } });
  const { conversationId, ...socketClient } = await openChat(own, 'support', { sub: 'alice' });
  const ask = async (content: string) => {
    const { runId, reader } = await startWaitingTurn(socketClient, { conversationId, content });
    const { toolCall } = reader.events.at(-1) ?? {};
    expect(toolCall).toMatchObject({ name: 'refund_order', arguments: '{"orderNumber":"1046"}' });
    await decide(socketClient, runId, toolCall?.callId ?? '');
    return [...assembleTexts(await reader.rest()).values()].at(-1);
  };
  expect(await ask('Please refund order 1046.')).toContain('Order 1046 is refunded: € 38.50.');
  expect(await ask('Please refund order 1046 again.')).toMatch(
    /Order 1046 \(Descaler, 6 bottles\) was refunded already: € 38\.50, on \d{1,2} \w+ \d{4} at \d\d:\d\d UTC\./,
  );
});
