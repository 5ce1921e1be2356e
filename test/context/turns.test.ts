import { describe, expect, test } from 'vitest';
import { deleteExpiredSnapshots } from '../../src/context/expire.ts';
import { createBillingConversation, decide, refund, startWaitingTurn } from '../approvals/decide.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { documents, openChat, openNewUser, type SocketClient } from '../support/chat.ts';
import { addProject } from '../support/projects.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createSnapshot, type ReturnedSnapshot, readDelimited, rowIdOf } from './support.ts';

const app = shareApp();
const readDocument = 'query ($id: ID!) { contextSnapshot(id: $id) { block } }';

/** Makes a snapshot expire, a while ago. */
async function expire(...snapshots: readonly ReturnedSnapshot[]) {
  const id = { in: snapshots.map(rowIdOf) };
  const [createdAt, expiresAt] = [new Date(Date.now() - 7_200_000), new Date(Date.now() - 3_600_000)];
  await app.app.db.contextSnapshot.updateMany({ where: { id }, data: { createdAt, expiresAt } });
}

/** What the models of the last requests were told beside their instructions, the oldest first. */
const told = (count: number) =>
  app.model.requests.slice(-count).map(({ instructions }) => readDelimited(instructions).data.join('\n'));

/** A turn that has to be refused. */
async function refuse(user: SocketClient, input: Record<string, unknown>) {
  const document = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
  const variables = { input: { content: 'Hello', idempotencyKey: 'k', ...input } };
  const { errors } = await app.query(document, variables, { token: user.token });
  return errors[0]?.extensions;
}

describe('a turn that names a snapshot', () => {
  test('It is refused if the snapshot is absent, malformed, expired or of somebody else, and nothing is written', async () => {
    const chat = await openChat(app);
    const own = await createSnapshot(chat, { page: 'own' });
    const other = await createSnapshot(await openNewUser(app), { page: 'other' });
    const foreign = await createSnapshot(await openNewUser(app, { tenant: 'globex' }), { page: 'foreign' });
    await expire(own);
    const codeOf = async (contextSnapshotId: string) =>
      (await refuse(chat, { conversationId: chat.conversationId, contextSnapshotId }))?.code;
    expect(await codeOf(other.id)).toBe('FORBIDDEN');
    expect(await codeOf(foreign.id)).toBe('FORBIDDEN');
    expect(await codeOf(own.id)).toBe('NOT_FOUND');
    expect(await codeOf(`ctx_${crypto.randomUUID()}`)).toBe('NOT_FOUND');
    const malformed = { conversationId: chat.conversationId, contextSnapshotId: chat.conversationId };
    expect(await refuse(chat, malformed)).toMatchObject({
      code: 'BAD_USER_INPUT',
      path: ['input', 'contextSnapshotId'],
    });
    const { conversation } = await chat.ask(documents.conversation, { id: chat.conversationId });
    expect(conversation).toMatchObject({ messageCount: 0, runs: { edges: [] } });
  });

  test('The same key with another snapshot is a conflict, and with the same it attaches, also after it expired', async () => {
    const chat = await openChat(app);
    const [one, two] = [await createSnapshot(chat, { page: 'one' }), await createSnapshot(chat, { page: 'two' })];
    app.model.add({ text: 'Yes.' });
    const events = await chat.readToEnd('Hello', { idempotencyKey: 'same', contextSnapshotId: one.id });
    const { conversationId } = chat;
    for (const contextSnapshotId of [two.id, undefined]) {
      const extensions = await refuse(chat, { conversationId, idempotencyKey: 'same', contextSnapshotId });
      expect(extensions?.code).toBe('CONFLICT');
    }
    await expire(one);
    const again = await chat.readToEnd('Hello', { idempotencyKey: 'same', contextSnapshotId: one.id });
    expect(again.map(({ seq }) => seq)).toEqual(events.map(({ seq }) => seq));
  });

  test('The agent that begins has it in each of its steps, and no agent after a handoff', async () => {
    const chat = await openChat(app, 'support');
    const snapshot = await createSnapshot(chat, { page: 'only for the first' });
    app.model.add(
      { calls: [{ name: 'current_time', arguments: {} }] },
      { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
      { text: 'Here.' },
    );
    await chat.readToEnd('Hello', { contextSnapshotId: snapshot.id });
    const [first, second, third] = told(3);
    expect(first).toContain('only for the first');
    expect(second).toBe(first);
    expect(third).toBe('');
  });

  test('If a classifier chooses who begins, the chosen agent has it, and the classifier is asked without it', async () => {
    const chat = await openChat(app, 'orchestrated');
    const snapshot = await createSnapshot(chat, { page: 'for the chosen one' });
    const decision = { agent: 'billing', confidence: 0.9, reasoning: 'It is about money.', alternatives: [] };
    app.model.add({ text: JSON.stringify(decision) }, { text: 'Here.' });
    const events = await chat.readToEnd('A refund, please', { contextSnapshotId: snapshot.id });
    expect(events.find(({ agent }) => agent)?.agent).toEqual({ name: 'billing' });
    const [classifier, chosen] = told(2);
    expect(classifier).toBe('');
    expect(chosen).toContain('for the chosen one');
  });

  test('After an approval it goes on with the same text, also if the snapshot is gone', async () => {
    const user = await openNewUser(app);
    const snapshot = await createSnapshot(user, { page: 'before the pause' });
    app.model.add({ calls: [refund('r', '1044')] }, { text: 'Done.' });
    const { runId, reader } = await startWaitingTurn(user, { contextSnapshotId: snapshot.id });
    await app.app.db.contextSnapshot.delete({ where: { id: rowIdOf(snapshot) } });
    await decide(user, runId, 'r');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const [before, after] = told(2);
    expect(before).toContain('before the pause');
    expect(after).toBe(before);
  });

  test('A turn that waits in the queue keeps its snapshot, however long it waits', async () => {
    const chat = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['First', ' answer'], afterTokens: 1, gate }, { text: 'Second answer' });
    const first = chat.say('first');
    await first.untilText('First');
    const [waited, unused] = [
      await createSnapshot(chat, { page: 'waited' }),
      await createSnapshot(chat, { page: 'no' }),
    ];
    const input = { contextSnapshotId: waited.id, ifBusy: 'ENQUEUE' };
    const second = chat.readToEnd('second', input);
    await expect
      .poll(() => app.app.db.run.count({ where: { status: 'QUEUED', conversationId: chat.conversationId.slice(5) } }))
      .toBe(1);
    await expire(waited, unused);
    await deleteExpiredSnapshots(app.app.db);
    const rows = () => app.app.db.contextSnapshot.count({ where: { id: { in: [waited, unused].map(rowIdOf) } } });
    expect(await rows()).toBe(1);
    gate.open();
    await first.rest();
    expect((await second).at(-1)?.__typename).toBe('RunCompleted');
    expect(told(1)[0]).toContain('waited');
    await deleteExpiredSnapshots(app.app.db);
    expect(await rows()).toBe(0);
  });

  test('A model with a small window is given no more of it than a quarter of the window', async () => {
    const host = new URL(app.model.url).host;
    await using small = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: host } });
    const user = await openNewUser(small);
    const llm = {
      provider: 'custom',
      model: 'small',
      apiUrl: app.model.url,
      api: 'CHAT_COMPLETIONS',
      contextTokens: 8_000,
    };
    const agentId = await user.createAgent({ llm });
    const snapshot = await createSnapshot(user, { page: 'x'.repeat(7_900), data: 'y'.repeat(7_900) });
    expect(snapshot.truncated).toBe(false);
    app.model.add({ text: 'Yes.' });
    const conversationId = await user.createConversation({ agentId });
    const turn = user.chatTurn('ws', { conversationId, contextSnapshotId: snapshot.id });
    expect((await turn.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const { data, ends } = readDelimited(app.model.requests.at(-1)?.instructions ?? '');
    expect(ends).toBe(1);
    expect(data.at(-1)).toBe('| (cut here: there is more than fits)');
    expect(data.join('').length).toBeLessThan(8_200);
  });
});

describe('stored snapshots', () => {
  test('Expired ones are deleted in batches, and those that have not expired for a minute stay', async () => {
    const user = await openNewUser(app);
    const { id } = await createSnapshot(user, { page: 'p' });
    const { db } = app.app;
    const template = await db.contextSnapshot.findUniqueOrThrow({ where: { id: id.slice(4) } });
    const { id: _id, references: _references, ...columns } = template;
    const old = {
      ...columns,
      createdAt: new Date(Date.now() - 7_200_000),
      expiresAt: new Date(Date.now() - 3_600_000),
    };
    const recent = { ...old, expiresAt: new Date(Date.now() - 5_000) };
    await db.contextSnapshot.createMany({ data: [...Array.from({ length: 450 }, () => old), recent] });
    expect(await deleteExpiredSnapshots(db)).toBeGreaterThanOrEqual(450);
    const where = { tenantId: template.tenantId, userId: template.userId };
    expect(await db.contextSnapshot.count({ where })).toBe(2);
  });

  test('Two instances that delete at the same time do not hinder each other', async () => {
    const user = await openNewUser(app);
    const { db } = app.app;
    const { id } = await createSnapshot(user, { page: 'p' });
    const template = await db.contextSnapshot.findUniqueOrThrow({ where: { id: id.slice(4) } });
    const { id: _id, references: _references, ...columns } = template;
    const old = {
      ...columns,
      createdAt: new Date(Date.now() - 7_200_000),
      expiresAt: new Date(Date.now() - 3_600_000),
    };
    await db.contextSnapshot.createMany({ data: Array.from({ length: 300 }, () => old) });
    await Promise.all([1, 2, 3].map(() => deleteExpiredSnapshots(db)));
    await deleteExpiredSnapshots(db);
    expect(await db.contextSnapshot.count({ where: { userId: template.userId } })).toBe(1);
  });

  test('A user has 100 at most: a new one replaces the oldest, and nobody else loses one', async () => {
    const [user, other] = [await openNewUser(app), await openNewUser(app)];
    const kept = await createSnapshot(other, { page: 'kept' });
    const oldest = await createSnapshot(user, { page: 'oldest' });
    const second = await createSnapshot(user, { page: 'second' });
    const { db } = app.app;
    const template = await db.contextSnapshot.findUniqueOrThrow({ where: { id: rowIdOf(second) } });
    const { id: _id, references: _references, ...columns } = template;
    await db.contextSnapshot.createMany({ data: Array.from({ length: 98 }, () => columns) });
    await createSnapshot(user, { page: 'newest' });
    expect(await db.contextSnapshot.count({ where: { userId: template.userId } })).toBe(100);
    const { errors } = await app.query(readDocument, { id: oldest.id }, { token: user.token });
    expect(errors[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await other.ask(readDocument, { id: kept.id })).contextSnapshot.block).toContain('kept');
  });

  test('Only the turns of the user’s own conversations are in it, without those that a guardrail has stopped', async () => {
    const claims = { sub: 'user-of-recent-turns' };
    const [guarded, other] = [await openChat(app, 'guarded', claims), await openChat(app)];
    app.model.add({ text: 'A fine answer.' }, { text: 'Nobody else sees it.' });
    await guarded.readToEnd('A fine question');
    await guarded.readToEnd('My password is hunter2');
    await other.readToEnd('A private question');
    const { block } = await createSnapshot(guarded, {});
    expect(block).toContain('A fine question');
    expect(block).toContain('A fine answer.');
    expect(block).not.toMatch(/hunter2|private|Nobody/);
    await addProject(app.app.db, 'another', { [claims.sub]: 'VIEWER' });
    const ofProject = await createSnapshot(guarded, { projectId: 'another' });
    expect(ofProject.block).not.toContain('A fine');
  });

  test('A turn that is under way is not in it: a guardrail beside its model may still stop it', async () => {
    const user = await openChat(app);
    const gate = createGate();
    app.model.add({ text: 'An answer.', gate: gate.opened });
    const events = user.say('Not checked yet');
    await events.until('RunStarted');
    const { block } = await createSnapshot(user, {});
    gate.open();
    await events.rest();
    expect(block).not.toContain('Not checked yet');
    expect((await createSnapshot(user, {})).block).toContain('Not checked yet');
  });
});

describe('references', () => {
  const withReferences = shareApp({ env: { CONTEXT_REFERENCES: 'true' } });
  const uuid = '0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17';

  test('Ids of databases are references, each the same everywhere, and nothing of them is left', async () => {
    const user = await openNewUser(withReferences);
    const { block, references } = await createSnapshot(user, {
      page: `https://shop.example/orders/1042?user=${uuid} conv_${uuid} and 507f1f77bcf86cd799439011`,
      recordIds: ['order:1042'],
      data: {
        customerId: 77,
        tags: ['cups'],
        owner: { id: uuid },
        member_ids: ['a', 'b'],
        paid: true,
        name: 'id card',
      },
    });
    const named = Object.fromEntries(references.map(({ name, id }) => [id, name]));
    expect(references.map(({ id }) => id)).toEqual([
      '1042',
      uuid,
      `conv_${uuid}`,
      '507f1f77bcf86cd799439011',
      '77',
      'a',
      'b',
    ]);
    expect(block).toContain(
      `https://shop.example/orders/${named['1042']}?user=${named[uuid]} ${named[`conv_${uuid}`]} and`,
    );
    expect(block).toContain(`Record order:${named['1042']}, as JSON\n  {"number":"${named['1042']}"`);
    expect(block).toContain(`"owner":{"id":"${named[uuid]}"}`);
    expect(block).toContain('"tags":["cups"]');
    expect(block).not.toMatch(/1042|0198f3a0|507f1f77|:77/);
  });

  test('A model can call tools with references, before and after an approval; who approves can look them up', async () => {
    const user = await openNewUser(withReferences);
    const snapshot = await createSnapshot(user, { recordIds: ['order:1045'] });
    const [reference = { name: '' }] = snapshot.references;
    expect(reference).toEqual({ name: 'ref_1', id: '1045' });
    withReferences.model.add(
      { calls: [{ id: 'l', name: 'lookup_order', arguments: { orderNumber: reference.name } }] },
      { calls: [refund('r', reference.name)] },
      { text: 'Done.' },
    );
    const conversationId = await createBillingConversation(user);
    const turn = await startWaitingTurn(user, { conversationId, contextSnapshotId: snapshot.id });
    await decide(user, turn.runId, 'r');
    await turn.reader.rest();
    const { run } = await user.ask(documents.run, { id: turn.runId });
    expect(run.toolCalls.map(({ status, result }: Record<string, unknown>) => ({ status, result }))).toMatchObject([
      { status: 'SUCCEEDED', result: { number: '1045' } },
      { status: 'SUCCEEDED', result: { number: '1045', status: 'refunded' } },
    ]);
  });

  test('Without the operator’s wish, ids stay as they are', async () => {
    const { block, references } = await createSnapshot(await openNewUser(app), { page: uuid, data: { id: 7 } });
    expect(block).toContain(uuid);
    expect(references).toEqual([]);
  });
});
