import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openChat, type SocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { followConversation } from './feed-reader.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200', RATE_LIMIT_TURNS: '0' } });

interface ShownMessage {
  readonly id: string;
  readonly role: string;
  readonly content: string;
  readonly position: number | null;
  readonly parent: { readonly id: string } | null;
  readonly branches: readonly { readonly id: string }[];
  readonly run: { readonly id: string } | null;
  readonly idempotencyKey: string | null;
}
interface ShownConversation {
  readonly messageCount: number;
  readonly activeAgent: { readonly name: string };
  readonly lastMessage: { readonly content: string; readonly preview: string } | null;
  readonly usage: { readonly modelCalls: number };
  readonly messages: readonly ShownMessage[];
  readonly contents: readonly string[];
}

interface Page {
  readonly edges: readonly { readonly node: ShownMessage }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

const treeDocument = `query ($id: ID!, $all: Boolean, $first: Int, $after: String) { conversation(id: $id) {
  messageCount activeAgent { name } lastMessage { content preview } usage { modelCalls }
  messages(allBranches: $all, first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { node {
    id role content position parent { id } branches { id } run { id } idempotencyKey
  } } }
} }`;

async function readTree(client: SocketClient, id: string, all = false): Promise<ShownConversation> {
  const { conversation } = await client.ask(treeDocument, { id, all });
  const messages: ShownMessage[] = conversation.messages.edges.map(({ node }: { node: ShownMessage }) => node);
  expect(conversation.messages.totalCount).toBe(messages.length);
  return { ...conversation, messages, contents: messages.map(({ content }) => content) };
}

const selectDocument = `mutation ($id: ID!) { selectBranch(messageId: $id) {
  id messageCount messages { edges { node { content } } }
} }`;
const select = (client: SocketClient, id: string) => client.ask(selectDocument, { id });

/** What the last request gave the model of the conversation. */
const given = () => app.model.requests.at(-1)?.messages;

/** The texts of it. */
const givenTexts = () => given()?.map((item) => ('content' in item ? item.content : null));

/** A chat with two turns. */
async function openTwoTurns(scenario?: string) {
  const chat = await openChat(app, scenario);
  app.model.add({ text: 'A1' }, { text: 'A2' });
  await chat.readToEnd('U1', { idempotencyKey: 'first' });
  await chat.readToEnd('U2', { idempotencyKey: 'second' });
  const { messages } = await readTree(chat, chat.conversationId);
  const [u1, a1, u2, a2] = messages;
  if (!u1 || !a1 || !u2 || !a2) throw new Error('A message is missing.');
  return { ...chat, u1, a1, u2, a2 };
}

describe('editing', () => {
  test('A message that is edited begins a branch: the list, the counts and the history follow it, and nothing is lost', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u1, a1, u2, a2 } = chat;
    expect([u1, a1, u2, a2].map(({ parent }) => parent?.id ?? null)).toEqual([null, u1.id, a1.id, u2.id]);
    expect([u1, a1, u2, a2].map(({ branches }) => branches.length)).toEqual([1, 1, 1, 1]);

    app.model.add({ text: 'A2 of the edited' });
    const events = await chat.readToEnd('U2 edited', { editMessageId: u2.id });
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    expect(givenTexts()).toEqual(['U1', 'A1', 'U2 edited']);

    const tree = await readTree(chat, conversationId);
    expect(tree).toMatchObject({
      messageCount: 4,
      contents: ['U1', 'A1', 'U2 edited', 'A2 of the edited'],
      lastMessage: { content: 'A2 of the edited', preview: 'A2 of the edited' },
      usage: { modelCalls: 3 },
    });
    const edited = tree.messages[2];
    expect(edited?.branches.map(({ id }) => id)).toEqual([u2.id, edited?.id]);
    expect(edited?.parent).toEqual({ id: a1.id });
    expect(tree.messages.map(({ position }) => position)).toEqual([1, 2, 3, 4]);

    const all = await readTree(chat, conversationId, true);
    expect(all.contents).toEqual(['U1', 'A1', 'U2', 'A2', 'U2 edited', 'A2 of the edited']);
    expect(all.messages.map(({ position }) => position)).toEqual([1, 2, null, null, 3, 4]);
    // Pages of all branches go on from their cursors.
    const contents: string[] = [];
    for (let after: string | null = null; ; ) {
      const page: Page = (await chat.ask(treeDocument, { id: conversationId, all: true, first: 4, after })).conversation
        .messages;
      contents.push(...page.edges.map(({ node }) => node.content));
      after = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
    }
    expect(contents).toEqual(all.contents);

    // Back to the first branch, and on in it.
    const { selectBranch } = await select(chat, u2.id);
    expect(selectBranch).toMatchObject({ messageCount: 4 });
    expect((await readTree(chat, conversationId)).contents).toEqual(['U1', 'A1', 'U2', 'A2']);
    app.model.add({ text: 'A3' });
    await chat.readToEnd('U3');
    expect(givenTexts()).toEqual(['U1', 'A1', 'U2', 'A2', 'U3']);
    // The newest leaf under a message before the fork is in the branch that was written last.
    await select(chat, edited?.id ?? '');
    expect((await readTree(chat, conversationId)).lastMessage?.content).toBe('A2 of the edited');
    await select(chat, u1.id);
    expect((await readTree(chat, conversationId)).contents).toEqual(['U1', 'A1', 'U2', 'A2', 'U3', 'A3']);
  });

  test('The first message can be edited; the agent is the one with which the conversation began, and the branch keeps its own', async () => {
    const chat = await openChat(app, 'support');
    app.model.add(
      { calls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] },
      { text: 'It is paid.' },
    );
    await chat.readToEnd('Did you get my money?');
    const before = await readTree(chat, chat.conversationId);
    expect(before.activeAgent.name).toBe('billing');
    app.model.add({ calls: [{ name: 'current_time', arguments: {} }] }, { text: 'Hello!' });
    await chat.readToEnd('Hello', { editMessageId: before.messages[0]?.id });
    expect(app.model.requests.at(-1)?.instructions).not.toContain('billing specialist');
    const after = await readTree(chat, chat.conversationId);
    expect(after).toMatchObject({ contents: ['Hello', 'Hello!'], activeAgent: { name: 'supervisor' } });
    expect(after.messages[0]?.branches).toHaveLength(2);

    await select(chat, before.messages[0]?.id ?? '');
    expect((await readTree(chat, chat.conversationId)).activeAgent.name).toBe('billing');
    app.model.add({ text: 'Again.' });
    await chat.readToEnd('And now?');
    // The calls and handoffs of this branch, and not those of the other.
    expect(JSON.stringify(given())).toContain('transfer_to_billing');
    expect(JSON.stringify(given())).not.toContain('current_time');
    await select(chat, after.messages[0]?.id ?? '');
    app.model.add({ text: 'Well.' });
    await chat.readToEnd('So?');
    expect(JSON.stringify(given())).toContain('current_time');
    expect(JSON.stringify(given())).not.toContain('transfer_to_billing');
  });

  test('An agent that a person has chosen since the last turn stays', async () => {
    const chat = await openTwoTurns();
    const agentId = await chat.createAgent({ name: 'chosen', instructions: 'I was chosen.' });
    const plain = await chat.createConversation({ title: 'plain' });
    app.model.add({ text: 'One.' }, { text: 'Two.' });
    await chat.chatTurn('ws', { conversationId: plain, content: 'Hello' }).rest();
    await chat.ask(
      'mutation ($id: ID!, $agentId: ID!) { updateConversation(id: $id, input: { agentId: $agentId }) { id } }',
      { id: plain, agentId },
    );
    const { messages } = await readTree(chat, plain);
    await chat.chatTurn('ws', { conversationId: plain, content: null, regenerateMessageId: messages[1]?.id }).rest();
    expect(app.model.requests.at(-1)?.instructions).toContain('I was chosen.');
    expect((await readTree(chat, plain)).activeAgent.name).toBe('chosen');
  });
});

describe('answering again', () => {
  test('An answer is made again by its id or its user message’s; the message is the same, and its run is that of the active branch', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u1, a1, a2 } = chat;
    app.model.add({ text: 'A1 again' });
    const [started] = await chat.readToEnd('', { content: null, regenerateMessageId: a1.id });
    expect(started).toMatchObject({ __typename: 'RunStarted', userMessage: { id: u1.id, content: 'U1' } });
    expect(givenTexts()).toEqual(['U1']);
    app.model.add({ text: 'A1 once more' });
    await chat.readToEnd('', { content: null, regenerateMessageId: u1.id });
    expect(givenTexts()).toEqual(['U1']);

    const tree = await readTree(chat, conversationId);
    expect(tree).toMatchObject({ messageCount: 2, contents: ['U1', 'A1 once more'], usage: { modelCalls: 4 } });
    const again = tree.messages[1];
    expect(again?.branches).toHaveLength(3);
    expect(again?.branches[0]).toEqual({ id: a1.id });
    expect(tree.messages[0]).toMatchObject({ id: u1.id, run: again?.run, idempotencyKey: 'first' });
    // In a later turn, the history has the answer that was chosen, once.
    app.model.add({ text: 'A2 of the last' });
    await chat.readToEnd('U2 of the last');
    expect(givenTexts()).toEqual(['U1', 'A1 once more', 'U2 of the last']);

    await select(chat, a1.id);
    const first = await readTree(chat, conversationId);
    expect(first).toMatchObject({ contents: ['U1', 'A1', 'U2', 'A2'] });
    expect(first.messages[0]?.run).toEqual(a1.run);
    app.model.add({ text: 'A2 again' });
    await chat.readToEnd('', { content: null, regenerateMessageId: a2.id });
    expect(givenTexts()).toEqual(['U1', 'A1', 'U2']);
    expect((await readTree(chat, conversationId)).contents).toEqual(['U1', 'A1', 'U2', 'A2 again']);
    // What a run of another branch has written is still its own.
    const { run } = await chat.ask(documents.run, { id: a2.run?.id });
    expect(run).toMatchObject({ userMessage: { content: 'U2' }, messages: [{ content: 'A2' }] });
  });

  test('Twenty that answer again with one key get one answer; replays of every run equal what is stored, whichever branch is active', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u2, a2 } = chat;
    const asked = app.model.requests.length;
    app.model.add({ text: ['A', '2', ' again'], delayMs: 5 }, { text: 'edited answer' });
    const inputs = { content: null, regenerateMessageId: a2.id, idempotencyKey: 'again' };
    const all = await Promise.all(Array.from({ length: 20 }, () => chat.readToEnd('', inputs)));
    expect(new Set(all.map((events) => events.at(-1)?.runId)).size).toBe(1);
    expect(app.model.requests.length).toBe(asked + 1);
    const edit = { editMessageId: u2.id, idempotencyKey: 'edit' };
    await Promise.all(Array.from({ length: 20 }, () => chat.readToEnd('U2 edited', edit)));
    expect(app.model.requests.length).toBe(asked + 2);
    expect((await readTree(chat, conversationId, true)).contents).toEqual([
      ...['U1', 'A1', 'U2', 'A2', 'A2 again', 'U2 edited', 'edited answer'],
    ]);
    // The key comes with what it came with.
    const otherwise = chat.say('U2 edited', { idempotencyKey: 'edit', editMessageId: chat.u1.id });
    await expect(otherwise.rest()).rejects.toThrow('another payload');
    const replay = async (input: Record<string, unknown>, content = '') =>
      (await chat.readToEnd(content, input))
        .filter(({ delta }) => delta)
        .map(({ delta }) => delta)
        .join('');
    for (const branch of [a2.id, u2.id]) {
      await select(chat, branch);
      expect(await replay(inputs)).toBe('A2 again');
      expect(await replay(edit, 'U2 edited')).toBe('edited answer');
      expect(await replay({ idempotencyKey: 'second' }, 'U2')).toBe('A2');
    }
    // Also from the rows alone.
    await app.app.db.$executeRaw`DELETE FROM run_archives`;
    expect(await replay({ idempotencyKey: 'second' }, 'U2')).toBe('A2');
  });
});

describe('what is refused', () => {
  test('What cannot be edited or answered again is refused with a code, and nothing is written', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u1, a1, token } = chat;
    const stranger = await openTwoTurns();
    const codeOf = async (input: Record<string, unknown>) => {
      const variables = { input: { conversationId, idempotencyKey: crypto.randomUUID(), ...input } };
      const { errors } = await app.query(documents.startRun, variables, { token });
      return [errors[0]?.extensions.code, errors[0]?.message].join(': ');
    };
    const nobody = 'msg_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17';
    expect(await codeOf({ content: 'x', editMessageId: stranger.u1.id })).toContain('FORBIDDEN');
    expect(await codeOf({ regenerateMessageId: stranger.a1.id })).toContain('FORBIDDEN');
    expect(await codeOf({ content: 'x', editMessageId: nobody })).toContain('NOT_FOUND');
    expect(await codeOf({ regenerateMessageId: nobody })).toContain('NOT_FOUND');
    expect(await codeOf({ content: 'x', editMessageId: a1.id })).toContain('BAD_USER_INPUT: input.editMessageId');
    expect(await codeOf({ content: 'x', editMessageId: 'msg' })).toContain('BAD_USER_INPUT: input.editMessageId');
    expect(await codeOf({ content: 'x', regenerateMessageId: a1.id })).toContain('BAD_USER_INPUT: input.content');
    expect(await codeOf({ editMessageId: u1.id })).toContain('BAD_USER_INPUT: input.content');
    expect(await codeOf({})).toContain('BAD_USER_INPUT: input.content');
    expect(await codeOf({ content: 'x', editMessageId: u1.id, regenerateMessageId: a1.id })).toContain(
      'BAD_USER_INPUT',
    );
    const other = await chat.createConversation();
    expect(await codeOf({ conversationId: other, regenerateMessageId: a1.id })).toContain('another conversation');
    const chosen = await app.query(selectDocument, { id: stranger.u1.id }, { token });
    expect(chosen.errors[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await app.query(selectDocument, { id: nobody }, { token })).errors[0]?.extensions.code).toBe('NOT_FOUND');
    expect(await readTree(chat, conversationId, true)).toMatchObject({ contents: ['U1', 'A1', 'U2', 'A2'] });
    expect((await readTree(chat, other)).messages).toEqual([]);
  });

  test('A message has at most a hundred branches', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u2, a1 } = chat;
    const row = (id: string) => id.slice(id.indexOf('_') + 1);
    await app.app.db.$executeRaw`
      INSERT INTO messages (id, tenant_id, conversation_id, role, content, number, parent_id, is_active)
      SELECT gen_random_uuid(), tenant_id, conversation_id, 'USER', 'another', 4 + n, ${row(a1.id)}::uuid, false
      FROM messages, generate_series(1, 99) AS n WHERE id = ${row(u2.id)}::uuid`;
    const input = { conversationId, content: 'one more', editMessageId: u2.id, idempotencyKey: 'one more' };
    const { errors } = await app.query(documents.startRun, { input }, { token: chat.token });
    expect(errors).toMatchObject([
      { extensions: { code: 'CONFLICT' }, message: expect.stringContaining('100 branches') },
    ]);
    const { messages } = await readTree(chat, conversationId);
    expect(messages[2]?.branches).toHaveLength(100);
    await select(chat, messages[2]?.branches.at(-1)?.id ?? '');
    expect((await readTree(chat, conversationId)).contents).toEqual(['U1', 'A1', 'another']);
  });
});

describe('while a turn is under way', () => {
  test('Choosing a branch is a CONFLICT, as editing and answering again are; they wait or interrupt if they ask to', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u2, a1, token } = chat;
    const gate = createGate();
    app.model.add({ text: ['A', '3'], afterTokens: 1, gate });
    const third = chat.say('U3');
    await third.untilText('A');
    const runId = third.events[0]?.runId;
    const start = async (input: Record<string, unknown>) =>
      app.query(
        documents.startRun,
        { input: { conversationId, idempotencyKey: crypto.randomUUID(), ...input } },
        { token },
      );
    const conflict = [{ extensions: { code: 'CONFLICT', runId } }];
    expect((await app.query(selectDocument, { id: a1.id }, { token })).errors).toMatchObject(conflict);
    expect((await start({ regenerateMessageId: a1.id })).errors).toMatchObject(conflict);
    expect((await start({ content: 'x', editMessageId: u2.id })).errors).toMatchObject(conflict);

    const wait = { ifBusy: 'ENQUEUE' };
    const again = chat.readToEnd('', { content: null, regenerateMessageId: a1.id, ...wait });
    await expect.poll(async () => (await readTree(chat, conversationId)).messageCount).toBe(6);
    const cancelled = await start({ content: 'U2 cancelled', editMessageId: u2.id, ...wait });
    const edited = await start({ content: 'U2 edited', editMessageId: u2.id, ...wait });
    expect([cancelled, edited].map(({ data }) => data.startRun.status)).toEqual(['QUEUED', 'QUEUED']);
    await chat.ask(documents.cancelRun, { id: cancelled.data.startRun.id });
    app.model.add({ text: 'A1 again' }, { text: 'A2 edited' });
    gate.open();
    await third.rest();
    expect((await again).at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    await chat.runEvents('ws', edited.data.startRun.id).rest();
    expect(givenTexts()).toEqual(['U1', 'A1', 'U2 edited']);
    const tree = await readTree(chat, conversationId);
    expect(tree.contents).toEqual(['U1', 'A1', 'U2 edited', 'A2 edited']);
    // What was cancelled in the queue is beside the others, and nothing has gone.
    expect(tree.messages[2]?.branches).toHaveLength(3);
    const all = await readTree(chat, conversationId, true);
    expect(all.contents.toSorted()).toEqual(
      ['U1', 'A1', 'U2', 'A2', 'U3', 'A3', 'A1 again', 'U2 cancelled', 'U2 edited', 'A2 edited'].toSorted(),
    );
    expect(tree.messages[1]?.branches).toHaveLength(2);

    const slow = createGate();
    app.model.add({ text: ['never', ' seen'], afterTokens: 1, gate: slow }, { text: 'Instead' });
    const interrupted = chat.say('U4');
    await interrupted.untilText('never');
    await chat.readToEnd('U4 instead', {
      editMessageId: interrupted.events[0]?.userMessage?.id,
      ifBusy: 'INTERRUPT',
    });
    slow.open();
    expect((await interrupted.rest()).at(-1)?.__typename).toBe('RunCancelled');
    expect((await readTree(chat, conversationId)).contents.slice(4)).toEqual(['U4 instead', 'Instead']);
  });

  test('Two devices that choose: the last choice stands, and both are told of each', async () => {
    const chat = await openTwoTurns();
    const { conversationId, u2 } = chat;
    app.model.add({ text: 'A2 edited' });
    await chat.readToEnd('U2 edited', { editMessageId: u2.id });
    const edited = (await readTree(chat, conversationId)).messages[2]?.id ?? '';
    const { viewer } = await chat.ask('{ viewer { lastEventSeq } }');
    await using reader = followConversation(app, chat.token, conversationId, viewer.lastEventSeq);
    await select(chat, u2.id);
    // Nothing changes, so that nothing is told.
    await select(chat, u2.id);
    await select(chat, edited);
    expect([await reader.next(), await reader.next()].map((event) => event?.__typename)).toEqual([
      'ConversationUpdated',
      'ConversationUpdated',
    ]);
    const choices = [u2.id, edited, u2.id, edited, u2.id, edited];
    await Promise.all(choices.map((id) => select(chat, id)));
    const { contents, messages } = await readTree(chat, conversationId);
    expect([
      ['U1', 'A1', 'U2', 'A2'],
      ['U1', 'A1', 'U2 edited', 'A2 edited'],
    ]).toContainEqual(contents);
    expect(messages.map(({ position }) => position)).toEqual([1, 2, 3, 4]);
    expect((await readTree(chat, conversationId, true)).contents).toEqual([
      'U1',
      'A1',
      'U2',
      'A2',
      'U2 edited',
      'A2 edited',
    ]);
    // An edit tells that the list has changed before it brings its message.
    await select(chat, u2.id);
    const seq = (await chat.ask('{ viewer { lastEventSeq } }')).viewer.lastEventSeq;
    app.model.add({ text: 'A1 again' });
    await chat.readToEnd('', { content: null, regenerateMessageId: chat.u1.id });
    await using later = followConversation(app, chat.token, conversationId, seq);
    const events = await later.until(({ __typename }) => __typename === 'MessageAdded');
    expect(events[0]?.__typename).toBe('ConversationUpdated');
    expect(events.at(-1)?.edge?.node.content).toBe('A1 again');
  });
});
