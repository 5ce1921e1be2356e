import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestApp } from '../support/app.ts';
import type { SocketClient } from '../support/chat.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import type { TurnEvent } from '../support/clients/turn-reader.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { type Instance, openInstances } from './open-instances.ts';

const look = [{ name: 'current_time', arguments: {} }];
const hang = { misbehave: 'hang-before-headers' } as const;
const steeredIn = (events: readonly TurnEvent[]) =>
  events.filter(({ __typename }) => __typename === 'MessageSteered').map(({ message }) => message?.content);
const rowOf = (publicId: string) => publicId.slice(publicId.indexOf('_') + 1);
type Request = { readonly messages: readonly unknown[] };
const says = (text: string) => (request: Request) => JSON.stringify(request.messages).includes(`"${text}"`);
const countOf = ({ messages }: Request, text: string) => JSON.stringify(messages).split(`"${text}"`).length - 1;

const listDocument = `query ($id: ID!) { conversation(id: $id) {
  runs { edges { node { id status } } } messages { edges { node { role content run { id } } } } } }`;
async function list(client: Pick<SocketClient, 'ask'>, id: string) {
  const { conversation } = await client.ask(listDocument, { id });
  const contents: string[] = conversation.messages.edges.map(({ node }: { node: { content: string } }) => node.content);
  return { contents, runs: conversation.runs.edges.length };
}

const steer = (client: SocketClient, conversationId: string, content: string) =>
  client.chatTurn('ws', { conversationId, content, idempotencyKey: content, ifBusy: 'STEER' });

const ways = hasRedis ? (['Redis', 'the rows, if messages are lost'] as const) : (['the rows'] as const);

describe.each(ways)('by %s', (way) => {
  let opened: AsyncDisposableStack;
  let owner: Instance;
  let other: Instance;

  beforeAll(async () => {
    await using opening = new AsyncDisposableStack();
    const redis = hasRedis ? opening.use(await startRedis()) : null;
    const instances = opening.use(await openInstances(2, redis ? { REDIS_URL: redis.url } : {}));
    const [one, two] = instances;
    if (!one || !two) throw new Error('There are two.');
    [owner, other] = [one, two];
    if (redis)
      await vi.waitUntil(() => instances.every(({ app }) => app.runs.sharedLog?.isReachable), { timeout: 30_000 });
    if (way !== 'Redis')
      for (const { app } of instances) vi.spyOn(app.runs.remote, 'announce').mockImplementation(() => {});
    opened = opening.move();
  });
  afterAll(() => opened?.disposeAsync());

  const waiting = (conversationId: string) =>
    other.app.db.run.count({ where: { conversationId: rowOf(conversationId), status: 'QUEUED' } });

  test('A message that comes at another instance joins the run before its next step, once, and is followed from there', async () => {
    const conversationId = await owner.alice.createConversation();
    const gate = createGate();
    owner.model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate, calls: look }, { text: 'That it is.' });
    const first = owner.alice.chatTurn('ws', { conversationId, content: 'first' });
    const { runId } = await first.untilText('Let me');
    const own = steer(other.alice, conversationId, 'rather that');
    const following = own.rest();
    await expect.poll(() => waiting(conversationId)).toBe(1);
    gate.open();
    const all = await first.rest();
    expect(steeredIn(all)).toEqual(['rather that']);
    const events = await following;
    expect(events[0]).toMatchObject({ __typename: 'MessageSteered', runId });
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted', seq: all.at(-1)?.seq });
    expect(owner.model.requests.filter(says('rather that')).map((request) => countOf(request, 'rather that'))).toEqual([
      1,
    ]);
    expect(await list(other.alice, conversationId)).toEqual({
      contents: ['first', 'Let me look.', 'rather that', 'That it is.'],
      runs: 1,
    });
    expect(other.app.runs.joining.size).toBe(0);
  });

  test('One that comes when the calls of a step were written already joins before the next step if the owner is told, otherwise it is a turn of its own', async () => {
    const conversationId = await owner.alice.createConversation();
    owner.model.add({ text: 'Let me look.', calls: look }, { text: 'An answer.' });
    const { tokenBudget } = owner.app.runs.agents;
    const assertLeft = tokenBudget.assertLeft.bind(tokenBudget);
    const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // The last thing before the messages that wait are taken.
    const held = vi.spyOn(tokenBudget, 'assertLeft').mockImplementationOnce(async (...args) => {
      reached.resolve();
      await gate.promise;
      return assertLeft(...args);
    });
    const first = owner.alice.chatTurn('ws', { conversationId, content: 'first' });
    const all = first.rest();
    await reached.promise;
    const isTold = way === 'Redis';
    if (!isTold) owner.model.add({ text: 'Another answer.' });
    const announced = isTold ? vi.spyOn(owner.app.runs.remote, 'hear') : null;
    const following = steer(other.alice, conversationId, 'rather that').rest();
    await expect.poll(() => waiting(conversationId)).toBe(1);
    if (announced) await expect.poll(() => announced.mock.calls.map(([{ type }]) => type)).toContain('steered');
    gate.resolve();
    expect(steeredIn(await all)).toEqual(isTold ? ['rather that'] : []);
    expect((await following).at(-1)?.__typename).toBe('RunCompleted');
    const { contents, runs } = await list(other.alice, conversationId);
    expect(contents.filter((content) => content === 'rather that')).toHaveLength(1);
    expect(runs).toBe(isTold ? 1 : 2);
    held.mockRestore();
    announced?.mockRestore();
  });
});

test('If the owner is killed while a message waits, or right after it has joined, it is neither lost nor there twice', {
  timeout: 240_000,
}, async () => {
  await using cleanup = new AsyncDisposableStack();
  const data = cleanup.use(await createTestDataFolder());
  const database = cleanup.use(await createTestDatabase());
  const redis = hasRedis ? cleanup.use(await startRedis()) : null;
  const shared = redis ? { REDIS_URL: redis.url } : {};
  const alive = cleanup.use(await startTestApp({ databaseUrl: database.url, env: shared }));
  const model = cleanup.use(await createScriptedModel());
  const env = { ...shared, DATABASE_URL: database.url, OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  const dying = cleanup.use(await startServer(data.folder, env));
  const here = await openSocketClient(dying, 'alice');
  const there = await openSocketClient(alive, 'alice');
  const gate = createGate();
  const begin = async (content: string) => {
    const conversationId = await here.createConversation();
    const step = { text: ['Let me', ' look.'], afterTokens: 1, calls: look, match: says(content) };
    // The one joins with its next step, which never ends; the other one is killed while the message waits.
    model.add(content === 'joins' ? { ...step, gate } : { ...step, gate: createGate() });
    const reader = here.chatTurn('ws', { conversationId, content });
    const { runId } = await reader.untilText('Let me');
    const own = steer(there, conversationId, `${content} rather`);
    const following = own.rest();
    const where = { conversationId: rowOf(conversationId), status: 'QUEUED' } as const;
    await expect.poll(() => alive.app.db.run.count({ where })).toBe(1);
    // What is read is in its row a moment later. Without it, the step has not begun for who takes the run over, and the message
    // that waits joins right then.
    const begun = { conversationId: rowOf(conversationId), content: 'Let me' };
    await expect.poll(() => alive.app.db.message.count({ where: begun })).toBe(1);
    return { content, conversationId, runId, reader, following };
  };
  const waits = await begin('waits');
  const joins = await begin('joins');
  model.add({ ...hang, match: says('joins rather') });
  gate.open();
  await joins.reader.until('MessageSteered');
  await expect.poll(() => model.requests.some(says('joins rather'))).toBe(true);

  alive.model.add(
    { text: 'Let me look again.', calls: look, match: says('waits') },
    { text: 'That it is.', match: says('waits rather') },
    { text: 'That it is.', match: says('joins rather') },
  );
  await dying.end('SIGKILL');
  for (const { content, conversationId, runId, following } of [waits, joins]) {
    const rather = `${content} rather`;
    const events = await following;
    expect(events[0]).toMatchObject({ __typename: 'MessageSteered', runId });
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    // Whoever comes later, by the run and by the key of the message.
    expect(steeredIn(await there.runEvents('sse', runId).rest())).toEqual([rather]);
    expect((await steer(there, conversationId, rather).rest()).at(-1)).toEqual(events.at(-1));
    const { contents, runs } = await list(there, conversationId);
    const looked = content === 'waits' ? 'Let me look again.' : 'Let me look.';
    expect(contents).toEqual([content, looked, rather, 'That it is.']);
    expect(runs).toBe(1);
    const given = alive.model.requests.filter(says(rather));
    expect(given.map((request) => countOf(request, rather))).toEqual([1]);
    const { run } = await there.ask(documents.run, { id: runId });
    expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1 });
  }
});
