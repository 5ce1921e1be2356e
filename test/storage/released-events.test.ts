import { expect, test } from 'vitest';
import { type CursorEnd, type PastEvents, RunCursor } from '../../src/log/cursor.ts';
import type { RunEvent, RunEventPayload } from '../../src/log/event.ts';
import { RunEventBuffer } from '../../src/log/event-buffer.ts';

const runId = 'run';
/** Where the run waits for a person, and where it ends. */
const [pauses, end] = [[7, 13], 20] as const;

/** A run of single events, with deltas that can be merged between them. */
const events = Array.from({ length: end }, (_none, index): RunEvent => {
  const seq = index + 1;
  const at = { seq, runId, at: seq };
  if (seq === end) return { type: 'RunCompleted', ...at };
  if (seq % 4 === 1) return { type: 'MessageStarted', messageId: `m${seq}`, agentId: 'a', ...at };
  const start = seq - ((seq - 1) % 4);
  const payload: RunEventPayload = { type: 'TextDelta', messageId: `m${start}`, offset: seq - start - 1, delta: 'x' };
  return { ...payload, ...at };
});
const upTo = (seq: number) => events.filter((event) => event.seq <= seq);

/** The archive as it is at a moment. */
function archiveOf(seq: () => number) {
  const opened: PastEvents[] = [];
  let held = 0;
  const openPast = async (): Promise<PastEvents> => {
    await new Promise((resolve) => setImmediate(resolve));
    const buffer = new RunEventBuffer(runId);
    buffer.fill(upTo(seq()));
    held += 1;
    let isOpen = true;
    const dispose = () => {
      if (isOpen) held -= 1;
      isOpen = false;
    };
    const past = { buffer, room: { [Symbol.dispose]: dispose } };
    opened.push(past);
    return past;
  };
  return { openPast, opened, held: () => held };
}

/** The seqs that events stand for: a merged delta for all of its own. */
function seqsOf(read: readonly RunEvent[]): number[] {
  return read.flatMap((event) =>
    'delta' in event
      ? Array.from(event.delta, (_none, index) => event.seq - event.delta.length + 1 + index)
      : [event.seq],
  );
}

/** Another process, or this one, carries the run out; the reader reads a little between all that happens. */
test.each(['here', 'elsewhere'] as const)(
  'A reader gets exactly the rest of a run that waits twice and is carried out %s, from any seq on and however slowly it reads',
  async (process) => {
    for (const after of [0, ...events.map(({ seq }) => seq)])
      for (const pace of [0, 1, 2, 3, 100]) {
        const buffer = new RunEventBuffer(runId);
        let archived = 0;
        const archive = archiveOf(() => archived);
        const reader = new RunCursor(buffer, after, archive);
        const read: RunEvent[] = [];
        let isDone = false;
        let pending: Promise<void> | null = null;
        const readOne = async () => {
          pending ??= reader.next().then(({ value, done }) => {
            if (value) read.push(value);
            isDone = done === true;
            pending = null;
          });
          for (let turn = 0; turn < 4 && pending; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        };
        const readSome = async () => {
          for (let times = 0; times < pace && !isDone; times += 1) await readOne();
        };
        for (const until of [...pauses, end]) {
          if (process === 'here') {
            buffer.restore(upTo(archived));
            for (const event of events.filter(({ seq }) => seq > archived && seq <= until)) {
              buffer.append(event);
              await readSome();
            }
            archived = until;
            buffer.markArchived();
            buffer.release();
          } else {
            await readSome();
            archived = until;
            buffer.releaseUpTo(until, until === end);
          }
          await readSome();
          reader.releaseIdlePast(-1);
        }
        expect(buffer.bytes).toBe(0);
        while (!isDone) await readOne();
        expect(seqsOf(read)).toEqual(events.map(({ seq }) => seq).filter((seq) => seq > after));
        expect(archive.held()).toBe(0);
        expect(buffer.readers).toBe(0);
      }
  },
);

test('A buffer that goes on while its archive is read gives its events immediately, and holds all of them again', async () => {
  const buffer = new RunEventBuffer(runId);
  buffer.fill(upTo(7));
  buffer.markArchived();
  buffer.release();
  expect([buffer.lastSeq, buffer.events.length]).toEqual([7, 0]);
  const reader = new RunCursor(buffer, 3, { openPast: () => new Promise(() => {}) });
  const next = reader.next();
  buffer.restore(upTo(7));
  expect((await next).value?.seq).toBe(4);
  expect(buffer.events).toEqual(upTo(7));
  // What was archived before does not count any more.
  buffer.release();
  expect(buffer.events).toEqual(upTo(7));
});

test('Events that are appended after those in the archive stay when those are released', () => {
  const buffer = new RunEventBuffer(runId);
  buffer.fill(upTo(7));
  buffer.markArchived();
  buffer.fill(upTo(9));
  buffer.release();
  expect(buffer.events.map(({ seq }) => seq)).toEqual([8, 9]);
});

test('Readers of a run that was deleted get its end, and nothing that was deleted', async () => {
  const buffer = new RunEventBuffer(runId);
  buffer.fill(upTo(7));
  const reader = new RunCursor(buffer, 3, { openPast: async () => null });
  buffer.markArchived();
  buffer.release();
  buffer.append({ type: 'RunCancelled', seq: 8, runId, at: 0 });
  expect((await reader.next()).value).toMatchObject({ type: 'RunCancelled' });
  expect(await reader.next()).toMatchObject({ done: true });
});

test('A reader whose archive cannot be read has the error, and has not left', async () => {
  const ends: CursorEnd[] = [];
  const buffer = new RunEventBuffer(runId);
  buffer.releaseUpTo(7, false);
  const reader = new RunCursor(buffer, 3, {
    openPast: () => Promise.reject(new Error('unreadable')),
    onClose: (how) => ends.push(how),
  });
  await expect(reader.next()).rejects.toThrow('unreadable');
  await expect(reader.next()).rejects.toThrow('unreadable');
  await reader.return();
  expect(ends).toEqual(['failed']);
  expect(buffer.readers).toBe(0);
});

test('Events that are read for a reader that has left are given back', async () => {
  const buffer = new RunEventBuffer(runId);
  buffer.releaseUpTo(7, false);
  const archive = archiveOf(() => 7);
  const reader = new RunCursor(buffer, 3, archive);
  const next = reader.next();
  await reader.return();
  expect(await next).toMatchObject({ done: true });
  await expect.poll(() => archive.opened.length).toBe(1);
  expect(archive.held()).toBe(0);
});
