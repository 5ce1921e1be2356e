import { describe, expect, test } from 'vitest';
import { packEvents } from '../../src/log/archive.ts';
import type { RunEvent } from '../../src/log/event.ts';
import { readArchive } from '../../src/runs/archive.ts';
import { refund, startWaitingTurn } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser, type SocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

const lookUp = (id: string, orderNumber = '1042') => ({ id, name: 'lookup_order', arguments: { orderNumber } });

/** What a cache holds of a call. */
const callFields = 'id callId status result run { id } message { id }';
const eventsDocument = `subscription ($runId: ID!, $after: Int) { runEvents(runId: $runId, after: $after) {
  __typename seq
  ... on MessageStarted { messageId }
  ... on ReasoningDelta { messageId offset delta }
  ... on ToolCallStarted { callMessageId: messageId toolCall { ${callFields} } }
  ... on ToolCallCompleted { callMessageId: messageId toolCall { ${callFields} } }
  ... on ApprovalRequested { toolCall { ${callFields} approvalExpiresAt } }
  ... on HandoffOccurred { handoff { id seq run { id } toAgent { name } } }
  ... on MessageCompleted { message { id toolCalls { ${callFields} } } }
} }`;
const runDocument = `query ($id: ID!) { run(id: $id) {
  id idempotencyKey queuePosition status
  toolCalls { ${callFields} approvalExpiresAt }
  handoffs { id seq run { id } toAgent { name } }
  userMessage { id idempotencyKey }
  messages { id idempotencyKey toolCalls { ${callFields} } }
} }`;
const listDocument = `query ($id: ID!) { conversation(id: $id) {
  messageCount lastMessage { id }
  messages { edges { node { id content } } }
  runs { edges { node { queuePosition } } }
} }`;

/** All events of a run, with what a client would select of them. */
async function readEvents(client: SocketClient, runId: string) {
  // biome-ignore lint/suspicious/noExplicitAny: the document is not generated; what it brings is asserted.
  const events: any[] = [];
  for await (const { data, errors } of app.ws(client.token).iterate<{ runEvents: unknown }>({
    query: eventsDocument,
    variables: { runId },
  })) {
    expect(errors).toBeUndefined();
    events.push(data?.runEvents);
  }
  return events;
}

describe('a tool call', () => {
  test('A call has one id in events, rows and replays; when its message is complete, the message has all its calls', async () => {
    const chat = await openChat(app, 'support');
    app.model.add(
      { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
      { text: 'I look twice.', calls: [lookUp('call_0'), lookUp('call_1', '1043')] },
      { text: 'Both are shipped.' },
    );
    const { runId } = (await chat.readToEnd('Where are they?'))[0] ?? { runId: '' };
    const { run } = await chat.ask(runDocument, { id: runId });
    const replay = await readEvents(chat, runId);
    const [first, second] = run.toolCalls;
    expect(run.toolCalls).toMatchObject([
      { id: expect.stringMatching(/^tcl_[0-9a-f-]{36}$/), callId: 'call_0', run: { id: runId } },
      { id: expect.stringMatching(/^tcl_[0-9a-f-]{36}$/), callId: 'call_1', run: { id: runId } },
    ]);
    expect(first.id).not.toBe(second.id);
    const told = replay.flatMap(({ toolCall, callMessageId }) => (toolCall ? [{ ...toolCall, callMessageId }] : []));
    const message = { id: run.messages[0].id };
    expect(told.map(({ id, status }) => [id, status]).sort()).toEqual(
      [first.id, second.id]
        .flatMap((id: string) => [
          [id, 'RUNNING'],
          [id, 'SUCCEEDED'],
        ])
        .sort(),
    );
    for (const call of told) expect(call).toMatchObject({ run: { id: runId }, message, callMessageId: message.id });
    // Between MessageCompleted and the end, each call is told apart.
    const completed = replay.find(({ __typename }) => __typename === 'MessageCompleted');
    expect(completed.message.toolCalls.map(({ id }: { id: string }) => id)).toEqual([first.id, second.id]);
    expect(run.handoffs).toEqual([replay.find(({ handoff }) => handoff)?.handoff]);
    expect(run.handoffs[0]).toMatchObject({ seq: replay.find(({ handoff }) => handoff)?.seq, run: { id: runId } });
  });

  test('When MessageCompleted arrives, the calls of its step are rows that have not begun', async () => {
    const chat = await openChat(app, 'support');
    const { currentAgent } = await chat.ask('{ currentAgent { id } }');
    expect(currentAgent).not.toBeNull();
    app.model.add(
      { calls: [{ name: 'transfer_to_billing', arguments: {} }] },
      { text: 'May I?', calls: [refund('call_0', '404'), refund('call_1', '404')] },
    );
    const reader = chat.say('Money back');
    const { message } = await reader.until('MessageCompleted');
    const rows = await app.app.db.toolCall.findMany({ where: { messageId: message?.id.slice(4) ?? '' } });
    expect(rows.map(({ callId }) => callId).sort()).toEqual(['call_0', 'call_1']);
    const asked = [await reader.until('ApprovalRequested'), await reader.until('ApprovalRequested')];
    expect(asked.map(({ toolCall }) => toolCall?.id).sort()).toEqual(rows.map(({ rowId }) => `tcl_${rowId}`).sort());
    await chat.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: asked[0]?.runId });
    await reader.rest();
  });

  test('Calls of two conversations that the model named alike are two nodes', async () => {
    const client = await openNewUser(app);
    const ids: string[] = [];
    for (const orderNumber of ['1042', '1043']) {
      const conversationId = await client.createConversation('support');
      app.model.add(
        { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
        { calls: [lookUp('call_0', orderNumber)] },
        { text: 'Here.' },
      );
      const events = await client.chatTurn('ws', { conversationId }).rest();
      ids.push(events.find(({ toolCall }) => toolCall)?.toolCall?.id ?? '');
    }
    const { nodes } = await client.ask(
      `query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on ToolCall { arguments } } }`,
      { ids },
    );
    expect(nodes).toEqual(
      ['1042', '1043'].map((orderNumber, index) => ({ id: ids[index], arguments: JSON.stringify({ orderNumber }) })),
    );
    const stranger = await openNewUser(app);
    const { data, errors } = await app.query('query ($id: ID!) { node(id: $id) { id } }', { id: ids[0] }, stranger);
    expect([data.node, errors[0]?.extensions.code]).toEqual([null, 'FORBIDDEN']);
  });

  test('A call of a step without a text belongs to the next message of the run', async () => {
    const chat = await openChat(app, 'support');
    app.model.add(
      { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
      { calls: [lookUp('call_0')] },
      { text: 'It is shipped.' },
    );
    const { runId } = (await chat.readToEnd('Where is it?'))[0] ?? { runId: '' };
    const { run } = await chat.ask(runDocument, { id: runId });
    const [message] = run.messages;
    expect(run.toolCalls).toMatchObject([{ message: { id: message.id } }]);
    const replay = await readEvents(chat, runId);
    const completed = replay.find(({ __typename }) => __typename === 'MessageCompleted');
    expect(completed.message.toolCalls).toMatchObject([{ id: run.toolCalls[0].id, status: 'SUCCEEDED' }]);
  });

  test('The archives of earlier versions replay with the ids of the rows', async () => {
    const chat = await openChat(app, 'support');
    app.model.add(
      { reasoning: ['Who', ' knows?'], calls: [{ name: 'transfer_to_orders', arguments: {} }] },
      { reasoning: ['I', ' look.'], text: 'One moment.', calls: [lookUp('call_0')] },
      { text: 'It is shipped.' },
    );
    const { runId } = (await chat.readToEnd('Where is it?'))[0] ?? { runId: '' };
    const { db } = app.app;
    const row = runId.slice(4);
    const before = (await readArchive(db, row, async () => {})) ?? [];
    const entries: Record<string, unknown>[] = JSON.parse(await packEvents(before));
    // As they were stored before there were ids.
    const earlier = entries.map((entry) => {
      if (entry.type === 'ReasoningDelta') return omit(entry, 'messageId', 'offset');
      const { toolCall, ...rest } = omit(entry, 'handoffId', 'happenedSeq');
      return toolCall ? { ...rest, toolCall: omit({ ...toolCall }, 'id', 'messageId', 'approvalExpiresAt') } : rest;
    });
    await db.runArchive.update({ where: { runId: row }, data: { events: JSON.stringify(earlier) } });
    const after = (await readArchive(db, row, async () => {})) ?? [];
    const messageId = after.flatMap((event) => (event.type === 'MessageStarted' ? [event.messageId] : []))[0];
    const known = (event: RunEvent) => {
      if ('toolCall' in event) return { ...event, toolCall: { ...event.toolCall, messageId: null } };
      return event.type === 'ReasoningDelta' ? { ...event, messageId, offset: 0 } : event;
    };
    expect(after.map(known)).toEqual(before.map(known));
    let text = '';
    for (const event of [...after, ...after]) {
      if (event.type === 'ReasoningDelta') text = text.slice(0, event.offset) + event.delta;
    }
    expect(text).toBe('Who knows?I look.');
  });
});

function omit(entry: object, ...keys: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entry).filter(([key]) => !keys.includes(key)));
}

describe('a message that starts', () => {
  test('MessageStarted brings the message that is stored, as it is then, and where it stands in the list', async () => {
    const chat = await openChat(app, 'support');
    const gate = createGate();
    app.model.add({ text: ['One', ' moment.'], afterTokens: 1, gate });
    const reader = chat.say('Hello');
    await reader.untilText('One');
    const runId = reader.events[0]?.runId ?? '';
    const document = `subscription ($runId: ID!) { runEvents(runId: $runId) { __typename
      ... on RunStarted { edge { cursor node { id content position } } }
      ... on MessageStarted { messageId edge { cursor node { id } }
        message { id status content createdAt position agent { id } conversation { id } toolCalls { id } } }
      ... on TextDelta { delta } } }`;
    // biome-ignore lint/suspicious/noExplicitAny: the document is not generated; what it brings is asserted.
    const events: any[] = [];
    for await (const { data } of app.ws(chat.token).iterate<{ runEvents: object }>({
      query: document,
      variables: { runId },
    })) {
      events.push(data?.runEvents);
      // The reader attached in the middle of the message.
      if (events.length === 4) gate.open();
    }
    await reader.rest();
    const list = `query ($id: ID!) { conversation(id: $id) { messages { edges { cursor node { id createdAt agent { id } } } } } }`;
    const [question, answer] = (await chat.ask(list, { id: chat.conversationId })).conversation.messages.edges;
    expect(events[0].edge).toEqual({
      cursor: question.cursor,
      node: { id: question.node.id, content: 'Hello', position: 1 },
    });
    expect(events[2]).toEqual({
      __typename: 'MessageStarted',
      messageId: answer.node.id,
      edge: { cursor: answer.cursor, node: { id: answer.node.id } },
      message: {
        ...answer.node,
        status: 'STREAMING',
        content: '',
        position: 2,
        conversation: { id: chat.conversationId },
        toolCalls: [],
      },
    });
  });
});

describe('pendingApprovals', () => {
  const pendingDocument = `query ($first: Int, $after: String) { pendingApprovals(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { id status approvalExpiresAt run { id status conversation { id } } } }
  } }`;
  const approve = 'mutation ($id: ID!) { approveToolCall(toolCallId: $id, approve: false) { id status } }';

  test('The calls that wait for the viewer are listed in pages, the oldest first, and decided without the id of their run', async () => {
    const client = await openNewUser(app);
    expect((await client.ask(pendingDocument, {})).pendingApprovals).toMatchObject({ totalCount: 0, edges: [] });
    app.model.add({ calls: [refund('call_0'), refund('call_1')] }, { calls: [refund('call_0')] });
    const one = await startWaitingTurn(client, {}, 2);
    const two = await startWaitingTurn(client);
    const { pendingApprovals } = await client.ask(pendingDocument, { first: 2 });
    expect(pendingApprovals).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    const { endCursor } = pendingApprovals.pageInfo;
    const next = (await client.ask(pendingDocument, { first: 2, after: endCursor })).pendingApprovals;
    const listed = [...pendingApprovals.edges, ...next.edges].map(({ node }) => node);
    expect(listed.map(({ run }) => run.id)).toEqual([one.runId, one.runId, two.runId]);
    for (const { status, approvalExpiresAt, run } of listed) {
      expect([status, run.status]).toEqual(['AWAITING_APPROVAL', 'REQUIRES_ACTION']);
      expect(Date.parse(approvalExpiresAt)).toBeGreaterThan(Date.now());
    }
    const stranger = await openNewUser(app);
    expect((await stranger.ask(pendingDocument, {})).pendingApprovals.totalCount).toBe(0);
    app.model.add({ text: 'As you like.' });
    const decided = await client.ask(approve, { id: listed[2].id });
    expect(decided.approveToolCall.id).toBe(two.runId);
    await two.reader.rest();
    expect((await client.ask(pendingDocument, {})).pendingApprovals.totalCount).toBe(2);
    await client.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: one.runId });
    await one.reader.rest();
    const { run } = await client.ask(runDocument, { id: one.runId });
    expect(run.toolCalls).toMatchObject([
      { status: 'CANCELLED', approvalExpiresAt: null },
      { status: 'CANCELLED', approvalExpiresAt: null },
    ]);
  });

  test('A call and a run that do not belong together are NOT_FOUND', async () => {
    const client = await openNewUser(app);
    app.model.add({ calls: [refund('call_0')] }, { calls: [refund('call_0')] });
    const [one, two] = [await startWaitingTurn(client), await startWaitingTurn(client)];
    const { run } = await client.ask(runDocument, { id: one.runId });
    const { errors } = await app.query(
      'mutation ($run: ID!, $id: ID!) { approveToolCall(runId: $run, toolCallId: $id, approve: true) { id } }',
      { run: two.runId, id: run.toolCalls[0].id },
      client,
    );
    expect(errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    for (const { runId, reader } of [one, two]) {
      await client.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: runId });
      await reader.rest();
    }
  });
});

describe('an optimistic client', () => {
  test('A turn and its message are known by the key of the client; an answer has none', async () => {
    const chat = await openChat(app);
    app.model.add({ text: 'Yes.' });
    const events = await chat.readToEnd('Well?', { idempotencyKey: 'my-key' });
    const { run } = await chat.ask(runDocument, { id: events[0]?.runId });
    expect(run).toMatchObject({
      idempotencyKey: 'my-key',
      queuePosition: null,
      userMessage: { idempotencyKey: 'my-key' },
      messages: [{ idempotencyKey: null }],
    });
  });

  test('A turn that waits says so immediately; its question is listed with its own answer, and its place changes', async () => {
    const chat = await openChat(app, 'support');
    const gate = createGate();
    app.model.add(
      { text: 'I look.', calls: [{ name: 'transfer_to_orders', arguments: {} }] },
      { text: ['It', ' is shipped.'], afterTokens: 1, gate },
    );
    const first = chat.say('first', { idempotencyKey: 'first' });
    await first.untilText('It');
    const readers = [first];
    for (const [index, content] of ['second', 'third', 'fourth'].entries()) {
      const reader = chat.say(content, { idempotencyKey: content, ifBusy: 'ENQUEUE' });
      expect(await reader.next()).toMatchObject({ __typename: 'RunQueued', seq: 1, position: index + 1 });
      readers.push(reader);
    }
    const list = async () => {
      const { conversation } = await chat.ask(listDocument, { id: chat.conversationId });
      const { messageCount, lastMessage, messages, runs } = conversation;
      const nodes: { id: string; content: string }[] = messages.edges.map(({ node }: { node: object }) => node);
      expect([messageCount, lastMessage.id]).toEqual([nodes.length, nodes.at(-1)?.id]);
      const places = runs.edges.map(({ node }: { node: { queuePosition: number | null } }) => node.queuePosition);
      return { places, listed: nodes.map(({ content }) => content) };
    };
    // An answer that takes long is listed while it is written; a short one once it is whole.
    await expect.poll(async () => (await list()).listed.length).toBe(3);
    // Their questions are read with their runs.
    const waiting = await list();
    expect(waiting.places).toEqual([null, 1, 2, 3]);
    expect(waiting.listed).toEqual(['first', 'I look.', expect.any(String)]);
    // The next to begin is cancelled: the others move up.
    const cancelled = readers[1]?.events[0]?.runId;
    await chat.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: cancelled });
    const shorter = await list();
    expect(shorter.places).toEqual([null, null, 1, 2]);
    expect(shorter.listed).toHaveLength(3);
    app.model.add({ text: 'Answer to the third.' }, { text: 'Answer to the fourth.' });
    gate.open();
    for (const reader of readers) await reader.rest();
    expect((await list()).listed).toEqual([
      'first',
      'I look.',
      'It is shipped.',
      'second',
      'third',
      'Answer to the third.',
      'fourth',
      'Answer to the fourth.',
    ]);
  });
});
