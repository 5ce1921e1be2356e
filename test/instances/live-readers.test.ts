import { describe, expect, test } from 'vitest';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { documents } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { openInstances } from './open-instances.ts';

const transports = hasRedis ? (['the database', 'Redis'] as const) : (['the database'] as const);

describe.each(transports)('over %s', (log) => {
  /** Instances without a Redis, or with one. */
  async function open(count: number, env: Record<string, string> = { DRAIN_SECONDS: '1' }) {
    await using opening = new AsyncDisposableStack();
    const redis = log === 'Redis' ? opening.use(await startRedis()) : null;
    const instances = opening.use(await openInstances(count, { ...env, ...(redis ? { REDIS_URL: redis.url } : {}) }));
    const opened = opening.move();
    return { instances, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }

  test('Readers on the other instance get each event while the turn runs, from any seq on, with the same boundaries', async () => {
    await using opened = await open(2);
    const [one, two] = opened.instances;
    if (!one || !two) throw new Error('There are two.');
    const conversationId = await one.alice.createConversation();
    const gate = createGate();
    one.model.add({ text: ['A', ' b', ' c', ' d'], afterTokens: 2, gate });
    const reader = one.alice.chatTurn('ws', { conversationId, idempotencyKey: 'k' });
    await reader.untilText('A b');
    const runId = reader.events[0]?.runId ?? '';
    const seen = reader.events.map(({ seq }) => seq);
    const places = [0, ...seen];
    const elsewhere = places.map((after, index) => two.alice.runEvents(index % 2 ? 'ws' : 'sse', runId, after));
    const keyed = two.alice.chatTurn('ws', { conversationId, idempotencyKey: 'k' });
    // The model has said nothing more: what they get is live.
    await keyed.untilText('A b');
    for (const [index, other] of elsewhere.entries()) {
      const wanted = seen.length - index;
      while (other.events.length === 0 && wanted > 0) await other.next();
    }
    gate.open();
    const all = await reader.rest();
    for (const [index, after] of places.entries()) {
      const rest = await elsewhere[index]?.rest();
      expect(rest?.every(({ seq }) => seq > after)).toBe(true);
      const before = all.filter(({ seq }) => seq <= after);
      expect(assembleTexts(rest ?? [], assembleTexts(before))).toEqual(assembleTexts(all));
      expect(sequenceOf([...before, ...(rest ?? [])])).toEqual(sequenceOf(all));
    }
    expect(sequenceOf(await keyed.rest())).toEqual(sequenceOf(all));
    // With Redis, the database was not needed.
    if (log === 'Redis') expect(await one.app.db.runPiece.count()).toBe(0);
    else expect(await one.app.db.runPiece.count()).toBeGreaterThan(0);
    await expect.poll(() => two.app.runs.log.runIds()).toEqual([]);
  });

  test('A turn is cancelled from the other instance before its first token', async () => {
    await using opened = await open(2);
    const [one, two] = opened.instances;
    if (!one || !two) throw new Error('There are two.');
    const conversationId = await one.alice.createConversation();
    one.model.add({ misbehave: 'hang-before-headers' });
    const reader = one.alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.until('RoutingDecided');
    await one.model.received(1);
    const { cancelRun } = await two.alice.ask(documents.cancelRun, { id: runId });
    expect(cancelRun).toMatchObject({ status: 'CANCELLED' });
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
    await expect.poll(() => one.model.requests[0]?.signal.aborted).toBe(true);
  });

  test('A turn that waits for a person is approved on the other instance, and goes on before the eyes of all readers', async () => {
    await using opened = await open(2);
    const [one, two] = opened.instances;
    if (!one || !two) throw new Error('There are two.');
    const conversationId = await createBillingConversation(one.alice);
    one.model.add({ calls: [refund('refund')] });
    const gate = createGate();
    two.model.add({ text: ['Done', ' now'], afterTokens: 1, gate });
    const reader = one.alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.until('ApprovalRequested');
    const other = two.alice.runEvents('sse', runId);
    await other.until('ApprovalRequested');
    await decide(two.alice, runId, 'refund', true);
    // The reader of the instance where it began reads the rest of the other one, live.
    await reader.untilText('Done');
    await other.untilText('Done');
    gate.open();
    const [all, same] = await Promise.all([reader.rest(), other.rest()]);
    expect(sequenceOf(all)).toEqual(sequenceOf(same));
    expect(assembleTexts(all)).toEqual(assembleTexts(same));
    expect(all.at(-1)?.__typename).toBe('RunCompleted');
  });

  test('A turn that is handed over goes on before the eyes of a reader on a third instance', async () => {
    await using opened = await open(3);
    const [one, two, three] = opened.instances;
    if (!one || !two || !three) throw new Error('There are three.');
    const conversationId = await one.alice.createConversation();
    one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
    // Whoever takes it over.
    const gate = createGate();
    const answer = { text: ['C', ' d'], afterTokens: 1, gate };
    two.model.add(answer);
    three.model.add(answer);
    const { runId } = await one.alice.chatTurn('ws', { conversationId, content: 'Speak' }).untilText('A');
    const readers = [two, three].map(({ alice }) => alice.runEvents('ws', runId));
    for (const reader of readers) await reader.untilText('A');
    const closing = one.app.runs.close();
    for (const reader of readers) await reader.untilText('C');
    gate.open();
    for (const reader of readers) {
      const events = await reader.rest();
      expect([...assembleTexts(events).values()]).toEqual(['C d']);
      const seqs = events.map(({ seq }) => seq);
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
      expect(events.filter(({ __typename }) => /^Run(Completed|Failed|Cancelled)$/.test(__typename))).toHaveLength(1);
    }
    await closing;
    // The answer that was not asked for is used up by a turn of its own.
    const idle = two.model.requests.length === 0 ? two : three;
    await idle.alice.chatTurn('ws', { conversationId }).rest();
  });
});
