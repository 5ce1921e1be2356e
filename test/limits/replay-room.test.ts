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
    const opened = await room.open(
      runOf(id, userId),
      async () => bufferOf(id, 8 * megabyte),
      () => {},
    );
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
  expect(
    (
      await room.open(
        runOf('a'),
        async () => bufferOf('a', 1_000),
        () => {},
      )
    )?.buffer.lastSeq,
  ).toBe(2);
  expect(
    await room.open(
      runOf('b'),
      async () => null,
      () => {},
    ),
  ).toBeNull();
  await expect(
    room.open(
      runOf('c'),
      () => Promise.reject(new Error('unreachable')),
      () => {},
    ),
  ).rejects.toThrow('unreachable');
  expect([answers.load.heldBytes, room.size]).toEqual([0, 0]);
});

test('The bytes of an archive are waited for before it is read, and then become those of its events', async () => {
  const answers = new AnswerBytes(bounds);
  const room = new ReplayRoom(answers);
  const unread = answers.add(runOf('x'), 16 * megabyte);
  let isRead = false;
  const opening = room.open(
    runOf('a'),
    async (reserve) => {
      await reserve(8 * megabyte);
      isRead = true;
      return bufferOf('a', 9 * megabyte);
    },
    () => {},
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(isRead).toBe(false);
  unread[Symbol.dispose]();
  const opened = await opening;
  expect(answers.load.heldBytes).toBeGreaterThan(9 * megabyte);
  expect(answers.load.heldBytes).toBeLessThan(10 * megabyte);
  opened?.room[Symbol.dispose]();
  await expect.poll(() => answers.load.heldBytes).toBe(0);
});

test('A reader of a large run leaves with an error that says how to go on if others have waited too long for its room', async () => {
  const ends: (() => void)[] = [];
  class Ending extends AnswerBytes {
    override add(...[owner, bytes, end]: Parameters<AnswerBytes['add']>) {
      if (end) ends.push(end);
      return super.add(owner, bytes, end);
    }
  }
  const room = new ReplayRoom(new Ending(bounds));
  const errors: Error[] = [];
  const open = () =>
    room.open(
      runOf('a'),
      async () => bufferOf('a', megabyte),
      (error) => void errors.push(error),
    );
  await Promise.all([open(), open()]);
  for (const end of ends) end();
  expect(errors.map(({ message }) => message)).toEqual(
    Array.from({ length: 2 }, () => expect.stringContaining('Subscribe again after the last seq')),
  );
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

test('A reader of a large run that waits for a person takes room until it leaves, and is cut off with the last seq in its hands', async () => {
  await using app = await startTestApp({ steps: [{ text: 'x'.repeat(400_000) }] });
  const chat = await openChat(app);
  const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: 'k' };
  await chat.ask(documents.sendMessage, { input });
  const run = await app.app.db.run.findFirstOrThrow();
  const viewer = { userId: run.userId, tenantId: run.tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { runs } = app.app;
  // Until then, the run is still in memory.
  await expect.poll(() => runs.log.find(run.id) === undefined || runs.log.find(run.id) === null).toBe(true);
  await app.app.db
    .$executeRaw`UPDATE runs SET status = 'REQUIRES_ACTION', finished_at = NULL, action_expires_at = now() + interval '1 hour' WHERE id = ${run.id}::uuid`;
  const cursors = await Promise.all([0, 0].map((after) => followRun(viewer, runs, `run_${run.id}`, after)));
  expect(runs.replayRoom.size).toBe(1);
  await cursors[0]?.next();
  expect(cursors[0]?.isBehind).toBe(true);
  cursors[0]?.fail(new Error('too slow'));
  await expect(cursors[0]?.next()).rejects.toThrow('too slow');
  expect(runs.replayRoom.size).toBe(1);
  // Who has read all of it is not too slow.
  while (cursors[1]?.isBehind) await cursors[1].next();
  const next = cursors[1]?.next();
  expect(cursors[1]?.isBehind).toBe(false);
  await cursors[1]?.return();
  expect(await next).toMatchObject({ done: true });
  expect(runs.replayRoom.size).toBe(0);
});
