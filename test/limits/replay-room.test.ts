import { expect, test } from 'vitest';
import { AnswerBytes } from '../../src/limits/answer-bytes.ts';
import { RunCursor } from '../../src/log/cursor.ts';
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
  const buffers = new Map<string, RunEventBuffer>();
  const open = async (id: string, userId = 'alice') => {
    const buffer = buffers.get(id) ?? bufferOf(id, 8 * megabyte);
    buffers.set(id, buffer);
    const opened = await room.open(
      runOf(id, userId),
      async () => buffer,
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

test('The readers of a large run are told to give back its room if others have waited too long for it', async () => {
  const ends: (() => void)[] = [];
  class Ending extends AnswerBytes {
    override add(...[owner, bytes, end, kind]: Parameters<AnswerBytes['add']>) {
      if (end) ends.push(end);
      return super.add(owner, bytes, end, kind);
    }
  }
  const room = new ReplayRoom(new Ending(bounds));
  const buffer = bufferOf('a', megabyte);
  let told = 0;
  const open = () =>
    room.open(
      runOf('a'),
      async () => buffer,
      () => {
        told += 1;
      },
    );
  await Promise.all([open(), open()]);
  for (const end of ends) end();
  expect(told).toBe(2);
});

test('Events that wait to be streamed do not make their own streams wait, however many they are', async () => {
  const answers = new AnswerBytes(bounds);
  const room = new ReplayRoom(answers);
  // Larger than what the user may have under way, and with those of others, than what the tenant may have.
  const users = ['alice', 'bob', 'carol'];
  const opened = await Promise.all(
    users.map((user) =>
      room.open(
        runOf(user, user),
        async () => bufferOf(user, 18 * megabyte),
        () => {},
      ),
    ),
  );
  for (const user of users) expect(answers.isFull(runOf('x', user))).toBe(false);
  // An answer that is under way does.
  using _answer = answers.add(runOf('x'), 18 * megabyte);
  expect(answers.isFull(runOf('x'))).toBe(true);
  for (const each of opened) each?.room[Symbol.dispose]();
});

test('A run that has ended or waits is released as soon as its readers have read it, and in time if they do not; it counts until then', async () => {
  const answers = new AnswerBytes(bounds);
  const room = new ReplayRoom(answers);
  const read = bufferOf('read', megabyte);
  const behind = bufferOf('behind', megabyte);
  const unread = bufferOf('unread', megabyte);
  const reader = new RunCursor(behind, 0);
  const slow = new RunCursor(unread, 0);
  for (const buffer of [read, behind, unread]) room.settle(runOf(buffer.runId), buffer);
  expect([read.bytes, behind.bytes, unread.bytes]).toEqual([0, megabyte, megabyte]);
  expect(answers.load.heldBytes).toBeGreaterThan(2 * megabyte);
  room.releaseSettled();
  expect(behind.bytes).toBe(megabyte);
  while (!(await reader.next()).done);
  room.releaseSettled();
  expect([behind.bytes, unread.bytes]).toEqual([0, megabyte]);
  room.releaseSettled(0);
  expect(unread.bytes).toBe(0);
  expect(answers.load.heldBytes).toBe(0);
  await slow.return();
});

test('A reader of a large run that has ended takes room until it has read it or leaves', async () => {
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

test('A reader of a large run that waits for a person takes room until it has read it, leaves, or does not read on', async () => {
  await using app = await startTestApp({ steps: [{ text: 'x'.repeat(400_000) }] });
  const chat = await openChat(app);
  const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: 'k' };
  await chat.ask(documents.sendMessage, { input });
  const run = await app.app.db.run.findFirstOrThrow();
  const viewer = { userId: run.userId, tenantId: run.tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { runs } = app.app;
  // Until then, the run is still in memory.
  await expect.poll(() => runs.log.find(run.id)).toBeUndefined();
  await app.app.db
    .$executeRaw`UPDATE runs SET status = 'REQUIRES_ACTION', finished_at = NULL, action_expires_at = now() + interval '1 hour' WHERE id = ${run.id}::uuid`;
  const [quick, slow, gone] = await Promise.all(
    [0, 0, 0].map((after) => followRun(viewer, runs, `run_${run.id}`, after)),
  );
  if (!quick || !slow || !gone) throw new Error('There are no readers.');
  const read = async (cursor: typeof quick) => {
    const { value } = await cursor.next();
    return value?.seq;
  };
  expect(runs.replayRoom.size).toBe(1);
  const begun = await read(slow);
  while ((await read(quick)) !== run.lastSeq);
  await gone.return();
  expect(runs.replayRoom.size).toBe(1);
  slow.releaseIdlePast(60_000);
  expect(runs.replayRoom.size).toBe(1);
  slow.releaseIdlePast(-1);
  expect(runs.replayRoom.size).toBe(0);
  // It goes on where it was, and so does one that has read all, after the end.
  const seqs = [begun];
  while (seqs.at(-1) !== run.lastSeq) seqs.push(await read(slow));
  expect(seqs).toEqual([...new Set(seqs)].sort((a = 0, b = 0) => a - b));
  expect(runs.replayRoom.size).toBe(0);
  const next = quick.next();
  await quick.return();
  expect(await next).toMatchObject({ done: true });
  await slow.return();
});
