import { expect, test } from 'vitest';
import { AnswerBytes } from '../../src/limits/answer-bytes.ts';
import { RunEventBuffer } from '../../src/log/event-buffer.ts';
import { followRun } from '../../src/runs/commands/follow.ts';
import { ReplayRoom } from '../../src/runs/replay-room.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

const megabyte = 1024 * 1024;
const bounds = { operation: 8 * megabyte, user: 17 * megabyte, tenant: 40 * megabyte, process: 80 * megabyte };
const runOf = (id: string, userId = 'alice') => ({ id, userId, tenantId: 'acme' });

function bufferOf(runId: string, characters: number): RunEventBuffer {
  const buffer = new RunEventBuffer(runId);
  buffer.fill([
    { type: 'TextDelta', messageId: 'm', offset: 0, delta: 'x'.repeat(characters), seq: 1, runId, at: 0 },
    { type: 'RunCompleted', seq: 2, runId, at: 0 },
  ]);
  return buffer;
}

test('Large runs that are replayed count once for all of their readers, and further ones wait until a run has no reader', async () => {
  const answers = new AnswerBytes(bounds);
  const room = new ReplayRoom(answers);
  const open = async (id: string, userId = 'alice') => {
    const opened = await room.open(runOf(id, userId), async () => bufferOf(id, 8 * megabyte));
    if (opened === null) throw new Error('The run has no archive.');
    return opened.room;
  };
  const readers = await Promise.all([open('a'), open('a'), open('a')]);
  const ofB = await open('b');
  expect(room.size).toBe(2);
  expect(answers.load.heldBytes).toBeGreaterThan(16 * megabyte);
  expect(answers.load.heldBytes).toBeLessThan(17 * megabyte);
  let third: Disposable | null = null;
  const waiting = open('c').then((opened) => {
    third = opened;
  });
  // Those of others do not wait.
  const ofBob = await open('d', 'bob');
  readers[0]?.[Symbol.dispose]();
  readers[0]?.[Symbol.dispose]();
  readers[1]?.[Symbol.dispose]();
  await new Promise((resolve) => setImmediate(resolve));
  expect(third).toBeNull();
  readers[2]?.[Symbol.dispose]();
  await waiting;
  for (const held of [third, ofB, ofBob]) held?.[Symbol.dispose]();
  await expect.poll(() => answers.load.heldBytes).toBe(0);
  expect(room.size).toBe(0);
});

test('Small runs, runs without an archive and failures take no room', async () => {
  const answers = new AnswerBytes(bounds);
  const room = new ReplayRoom(answers);
  expect((await room.open(runOf('a'), async () => bufferOf('a', 1_000)))?.buffer.lastSeq).toBe(2);
  expect(await room.open(runOf('b'), async () => null)).toBeNull();
  await expect(room.open(runOf('c'), () => Promise.reject(new Error('unreachable')))).rejects.toThrow('unreachable');
  expect([answers.load.heldBytes, room.size]).toEqual([0, 0]);
});

test('A reader of a large run that has ended takes room until it leaves', async () => {
  await using app = await startTestApp({ steps: [{ text: 'x'.repeat(400_000) }] });
  const chat = await openChat(app);
  const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: 'k' };
  await chat.ask(documents.sendMessage, { input });
  const run = await app.app.db.run.findFirstOrThrow();
  const viewer = { userId: run.userId, tenantId: run.tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { runs } = app.app;
  const readSize = async () => {
    const cursor = await followRun(viewer, runs, `run_${run.id}`, 0);
    const { size } = runs.replayRoom;
    await cursor.return();
    return size;
  };
  // Until then, the run is still in memory.
  await expect.poll(readSize).toBe(1);
  await expect(followRun(viewer, runs, `run_${run.id}`, 1_000_000)).rejects.toThrow('after must be at most');
  expect(runs.replayRoom.size).toBe(0);
});
