import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { openTools } from '../durability/killed-turns.ts';
import { documents } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type Instance, openIdleInstances, openInstances } from './open-instances.ts';

/**
 * How what a client asks of one instance reaches the one that carries the run out. With Redis alone, nobody looks at rows by
 * himself: without the message, these tests would not end. If all messages are lost, only the rows are left.
 */
const ways = hasRedis ? (['Redis alone', 'the rows, if messages are lost'] as const) : (['the rows'] as const);

describe.each(ways)('by %s', (way) => {
  let opened: AsyncDisposableStack;
  let owner: Instance;
  let other: Instance;
  let tools: Awaited<ReturnType<typeof openTools>>;

  beforeAll(async () => {
    await using opening = new AsyncDisposableStack();
    const redis = hasRedis ? opening.use(await startRedis()) : null;
    tools = opening.use(await openTools(opening.use(await createTestDataFolder()).folder));
    const env = { TOOLS_FILE: tools.path, ...(redis ? { REDIS_URL: redis.url } : {}) };
    const instances = opening.use(await (way === 'Redis alone' ? openIdleInstances : openInstances)(2, env));
    const [one, two] = instances;
    if (!one || !two) throw new Error('There are two.');
    [owner, other] = [one, two];
    if (redis)
      await vi.waitUntil(() => instances.every(({ app }) => app.runs.sharedLog?.isReachable), { timeout: 30_000 });
    if (way !== 'Redis alone')
      for (const { app } of instances) vi.spyOn(app.runs.remote, 'announce').mockImplementation(() => {});
    opened = opening.move();
  });
  afterEach(() => {
    for (const { model } of [owner, other]) model.assertDone();
  });
  afterAll(() => opened?.disposeAsync());

  const cancelElsewhere = async (runId: string) => {
    const { cancelRun } = await other.alice.ask(documents.cancelRun, { id: runId });
    expect(cancelRun).toMatchObject({ id: runId, status: 'CANCELLED' });
  };

  test('A turn is cancelled before its first token', async () => {
    const conversationId = await owner.alice.createConversation();
    owner.model.add({ misbehave: 'hang-before-headers' });
    const asked = owner.model.requests.length;
    const reader = owner.alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.until('RunStarted');
    await owner.model.received(asked + 1);
    await cancelElsewhere(runId);
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
    await expect.poll(() => owner.model.requests[asked]?.signal.aborted).toBe(true);
  });

  test('A turn is cancelled inside of a tool call', async () => {
    const agentId = await owner.alice.createAgent({ tools: ['book'] });
    const conversationId = await owner.alice.createConversation({ agentId });
    owner.model.add({ calls: [{ id: 'b', name: 'book', arguments: { what: 'a room' } }] });
    const reader = owner.alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.until('ToolCallStarted');
    await expect.poll(() => tools.received.filter(({ key }) => key.startsWith(runId)).length).toBe(1);
    await cancelElsewhere(runId);
    const events = await reader.rest();
    expect(events.slice(-2).map(({ __typename }) => __typename)).toEqual(['ToolCallCompleted', 'RunCancelled']);
    const { run } = await other.alice.ask(documents.run, { id: runId });
    expect(run).toMatchObject({ status: 'CANCELLED', toolCalls: [{ callId: 'b', status: 'CANCELLED' }] });
  });

  test('A call that waits for a person is approved, or its turn cancelled, before the eyes of a reader where it began', async () => {
    const conversationId = await createBillingConversation(owner.alice);
    owner.model.add({ calls: [refund('refund')] });
    const reader = owner.alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.until('ApprovalRequested');
    const gate = createGate();
    other.model.add({ text: ['Done', ' now'], afterTokens: 1, gate });
    await decide(other.alice, runId, 'refund');
    await reader.untilText('Done');
    gate.open();
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');

    owner.model.add({ calls: [refund('again')] });
    const second = owner.alice.chatTurn('ws', { conversationId });
    const waiting = await second.until('ApprovalRequested');
    await cancelElsewhere(waiting.runId);
    expect((await second.rest()).at(-1)?.__typename).toBe('RunCancelled');
  });

  test('A turn is interrupted by one that another agent is to answer, which begins where the first has ended', async () => {
    const conversationId = await owner.alice.createConversation('support');
    owner.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() }, { text: 'I bill.' });
    const first = owner.alice.chatTurn('ws', { conversationId });
    await first.untilText('A');
    const agentId = await other.alice.findAgent('billing');
    const input = { conversationId, agentId, content: 'Switch', ifBusy: 'INTERRUPT' };
    const second = await other.alice.chatTurn('ws', input).rest();
    expect(second.at(-1)?.__typename).toBe('RunCompleted');
    expect([...assembleTexts(second).values()]).toEqual(['I bill.']);
    expect((await first.rest()).at(-1)?.__typename).toBe('RunCancelled');
    const { conversation } = await owner.alice.ask(documents.conversation, { id: conversationId });
    expect(conversation.activeAgent.name).toBe('billing');
  });
});
