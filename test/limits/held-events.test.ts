import { expect, test } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import type { RunCursor } from '../../src/log/cursor.ts';
import type { RunEventBuffer } from '../../src/log/event-buffer.ts';
import { followRun } from '../../src/runs/commands/follow.ts';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { documents, openNewUser, type SocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf, type TurnReader } from '../support/clients/turn-reader.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** Room for what is on its way, not an expectation. */
const drainTimeout = { timeout: 120_000 };
const room = { timeout: 240_000 };
const piece = 'word '.repeat(2_000);
const rowId = (runId: string) => runId.slice('run_'.length);

/**
 * Turns that write a megabyte and then wait for a person or end. Each has two readers: one over SSE, and a cursor, which has
 * read one event and asks for no more.
 */
async function startTurns(app: TestApp, user: SocketClient, count: number, calls = [refund('r')]) {
  const { db, runs } = app.app;
  const buffers: RunEventBuffer[] = [];
  const readers: TurnReader[] = [];
  const cursors: RunCursor[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const gate = createGate();
    app.model.add({ text: ['Begin: ', ...Array.from({ length: 100 }, () => piece)], calls, gate, afterTokens: 1 });
    const conversationId = await createBillingConversation(user);
    const reader = user.chatTurn('sse', { conversationId, content: 'Refund 1042' });
    await reader.until('TextDelta');
    const runId = runIdOf(reader);
    const { userId, tenantId } = await db.run.findUniqueOrThrow({ where: { id: rowId(runId) } });
    const cursor = await followRun({ userId, tenantId, roles: [], expiresAt: Infinity }, runs, runId, 0);
    await cursor.next();
    const buffer = runs.log.find(rowId(runId));
    if (buffer) buffers.push(buffer);
    readers.push(reader);
    cursors.push(cursor);
    gate.open();
    await expect
      .poll(async () => (await user.ask(documents.run, { id: runId })).run.status, drainTimeout)
      .toBe(calls.length === 0 ? 'COMPLETED' : 'REQUIRES_ACTION');
  }
  expect(buffers).toHaveLength(count);
  return { readers, cursors, heldBytes: () => buffers.reduce((sum, { bytes }) => sum + bytes, 0) };
}

const runIdOf = (reader: TurnReader | undefined) => reader?.events[0]?.runId ?? '';
const answer = `Begin: ${piece.repeat(100)}`;

/** Reads a cursor to its end. @returns the texts of the messages */
async function readTexts(cursor: RunCursor): Promise<string[]> {
  const texts = new Map<string, string>();
  let last = 1;
  for await (const event of cursor) {
    expect(event.seq).toBeGreaterThan(last);
    last = event.seq;
    if (event.type === 'TextDelta') {
      expect(event.offset).toBe(texts.get(event.messageId)?.length ?? 0);
      texts.set(event.messageId, (texts.get(event.messageId) ?? '') + event.delta);
    }
  }
  return [...texts.values()];
}

test(
  'Runs that wait hold no events in memory, whether their readers have read them or not, and each reader gets all of its run',
  room,
  async () => {
    await using app = await startTestApp({ env: { RATE_LIMIT_TURNS: '0' } });
    const user = await openNewUser(app);
    const { readers, cursors, heldBytes } = await startTurns(app, user, 8);
    for (const reader of readers.slice(0, 4)) await reader.until('ApprovalRequested');
    await expect.poll(heldBytes, drainTimeout).toBe(0);
    await expect.poll(() => app.app.runs.replayRoom.size, drainTimeout).toBe(0);
    for (const reader of readers) {
      app.model.add({ text: 'Done.', delayMs: 0 });
      await decide(user, runIdOf(reader), 'r');
      const events = await reader.rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
      const again = await user.runEvents('sse', runIdOf(reader)).rest();
      expect([...assembleTexts(events).values()]).toEqual([answer, 'Done.']);
      expect(assembleTexts(again)).toEqual(assembleTexts(events));
      expect(sequenceOf(again)).toEqual(sequenceOf(events));
    }
    await expect.poll(heldBytes, drainTimeout).toBe(0);
    for (const cursor of cursors) expect(await readTexts(cursor)).toEqual([answer, 'Done.']);
    expect(app.app.runs.replayRoom.size).toBe(0);
  },
);

test('Runs that have ended hold no events in memory for readers that do not read them', room, async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_TURNS: '0' } });
  const user = await openNewUser(app);
  const { readers, cursors, heldBytes } = await startTurns(app, user, 4, []);
  await expect.poll(heldBytes, drainTimeout).toBe(0);
  // Those that come later do not hold them either, and do not keep others from their events.
  const late = readers.map((reader) => user.runEvents('sse', runIdOf(reader)));
  for (const reader of late) await reader.next();
  await expect.poll(() => app.app.runs.replayRoom.size, drainTimeout).toBe(0);
  for (const reader of [...readers, ...late]) {
    await reader.rest();
    expect([...assembleTexts(reader.events).values()]).toEqual([answer]);
    expect(reader.events.at(-1)?.__typename).toBe('RunCompleted');
  }
  for (const cursor of cursors) expect(await readTexts(cursor)).toEqual([answer]);
});

test(
  'A reader of a waiting run waits for room to read it, and onDisconnect CANCEL is for readers that leave, not for those that the server ends',
  room,
  async () => {
    await using app = await startTestApp();
    const { db, runs } = app.app;
    const user = await openNewUser(app);
    app.model.add({ text: [piece, piece], calls: [refund('r')], delayMs: 0 });
    const conversationId = await createBillingConversation(user);
    const first = user.chatTurn('ws', { conversationId, content: 'Go', onDisconnect: 'CANCEL' });
    await first.until('ApprovalRequested');
    const runId = runIdOf(first);
    const { userId, tenantId } = await db.run.findUniqueOrThrow({ where: { id: rowId(runId) } });
    const viewer = { userId, tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
    // Its only reader has read all of it.
    await expect.poll(() => runs.log.find(rowId(runId))?.lacksAfter(0), drainTimeout).toBe(true);
    const slow = await followRun(viewer, runs, runId, 0);
    slow.releasePast();

    // There is no room for a while.
    const { open } = runs.replayRoom;
    let refusals = 0;
    const refuse = async () => {
      refusals += 1;
      throw refusals < 2 ? new RateLimitedError('No room.', 1_000) : new Error('The archive cannot be read.');
    };
    Object.defineProperty(runs.replayRoom, 'open', { configurable: true, value: refuse });
    await expect(slow.next()).rejects.toThrow('The archive cannot be read.');
    expect(refusals).toBe(2);
    await expect(slow.next()).rejects.toThrow('The archive cannot be read.');
    Object.defineProperty(runs.replayRoom, 'open', { configurable: true, value: open });

    // The last one that is ended by the server does not cancel either.
    const other = await followRun(viewer, runs, runId, 0);
    await first.leave();
    await expect.poll(() => runs.log.find(rowId(runId))?.readers, drainTimeout).toBe(1);
    Object.defineProperty(runs.replayRoom, 'open', { configurable: true, value: refuse });
    other.releasePast();
    await expect(other.next()).rejects.toThrow('The archive cannot be read.');
    Object.defineProperty(runs.replayRoom, 'open', { configurable: true, value: open });
    expect((await user.ask(documents.run, { id: runId })).run.status).toBe('REQUIRES_ACTION');

    const last = await followRun(viewer, runs, runId, 0);
    await last.next();
    await last.return();
    await expect
      .poll(async () => (await user.ask(documents.run, { id: runId })).run.status, drainTimeout)
      .toBe('CANCELLED');
  },
);
