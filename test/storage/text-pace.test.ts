import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BusyTextPace } from '../../src/event-loop/text-pace.ts';
import { RunCursor } from '../../src/log/cursor.ts';
import type { RunEvent } from '../../src/log/event.ts';
import { LiveRunLogs } from '../../src/log/live-logs.ts';

const runId = 'run';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** A run whose answer is written, and a reader of it. */
function openReader(intervalMs: number) {
  const log = new LiveRunLogs();
  const pace = { intervalMs };
  const cursor = new RunCursor(log.open(runId), 0, { pace });
  const seen: RunEvent[] = [];
  const over = (async () => {
    for await (const event of cursor) seen.push(event);
  })();
  let offset = 0;
  return {
    log,
    pace,
    cursor,
    seen,
    over,
    say(delta: string) {
      log.append(runId, { type: 'TextDelta', messageId: 'm1', offset, delta });
      offset += delta.length;
    },
    /** What the reader was given, after so many milliseconds. */
    async given(ms: number) {
      await vi.advanceTimersByTimeAsync(ms);
      return seen.map((event) => ('delta' in event ? event.delta : event.type));
    },
  };
}

describe('A reader of a process that has time', () => {
  test('is given each piece of text when it is there', async () => {
    const { say, given } = openReader(0);
    for (const delta of ['a', 'b', 'c']) {
      say(delta);
      await given(0);
    }
    expect(await given(0)).toEqual(['a', 'b', 'c']);
  });
});

describe('A reader of a busy process', () => {
  test('is given the first piece of text when it is there, and those that follow together, in their time', async () => {
    const { say, given } = openReader(80);
    say('a');
    expect(await given(0)).toEqual(['a']);
    for (const delta of ['b', 'c', 'd']) {
      await given(20);
      say(delta);
    }
    expect(await given(19)).toEqual(['a']);
    expect(await given(1)).toEqual(['a', 'bcd']);
    // Nothing has come for longer than that: the next piece is not held back.
    await given(100);
    say('e');
    expect(await given(0)).toEqual(['a', 'bcd', 'e']);
  });

  test('is given what is not text when it is there, and the first text after it', async () => {
    const { log, say, given } = openReader(80);
    log.append(runId, { type: 'RunStarted', userMessageId: 'u1' });
    log.append(runId, { type: 'MessageStarted', messageId: 'm1', agentId: 'a1' });
    say('a');
    expect(await given(0)).toEqual(['RunStarted', 'MessageStarted', 'a']);
  });

  test('is given the end, and the text before it, without delay', async () => {
    const { log, say, given, over } = openReader(80);
    say('a');
    await given(0);
    say('b');
    log.append(runId, { type: 'MessageCompleted', messageId: 'm1' });
    log.append(runId, { type: 'RunCompleted' });
    await given(80);
    expect(await given(0)).toEqual(['a', 'b', 'MessageCompleted', 'RunCompleted']);
    await over;
  });

  test('is given all of it, in its order, whatever the pace becomes', async () => {
    const { log, pace, say, given, over, seen } = openReader(80);
    let said = '';
    for (let place = 0; place < 200; place++) {
      pace.intervalMs = (place * 37) % 100;
      const delta = `${place} `;
      said += delta;
      say(delta);
      await given(place % 7);
    }
    log.append(runId, { type: 'RunCompleted' });
    await given(100);
    await over;
    expect(seen.map((event) => ('delta' in event ? event.delta : '')).join('')).toBe(said);
    const seqs = seen.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));
  });

  test('that leaves while text is held back leaves nothing behind', async () => {
    const { cursor, log, say, given, over } = openReader(80);
    say('a');
    await given(0);
    say('b');
    await cursor.return();
    await over;
    expect(vi.getTimerCount()).toBe(0);
    expect(log.open(runId).readers).toBe(0);
  });
});

describe('The pace', () => {
  test('grows while the event loop is busy up to 80 ms, stays between, and goes back to 0', () => {
    using pace = new BusyTextPace();
    expect(pace.intervalMs).toBe(0);
    for (let time = 0; time < 10; time++) pace.adapt(1);
    expect(pace.intervalMs).toBe(80);
    pace.adapt(0.7);
    expect(pace.intervalMs).toBe(80);
    pace.adapt(0.2);
    expect(pace.intervalMs).toBe(70);
    for (let time = 0; time < 10; time++) pace.adapt(0.2);
    expect(pace.intervalMs).toBe(0);
  });
});
