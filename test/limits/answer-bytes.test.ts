import { describe, expect, test, vi } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { AnswerBudget, freeBytes } from '../../src/limits/answer-budget.ts';
import { AnswerBytes, type AnswerLoad } from '../../src/limits/answer-bytes.ts';

const megabyte = 1024 * 1024;
const bounds = { operation: 4 * megabyte, user: 8 * megabyte, tenant: 12 * megabyte, process: 16 * megabyte };
const viewer = (userId: string, tenantId = 'acme'): Viewer => ({
  userId,
  tenantId,
  roles: [],
  expiresAt: Number.POSITIVE_INFINITY,
});
const [alice, bob, carol, stranger] = [viewer('alice'), viewer('bob'), viewer('carol'), viewer('x', 'other')];

/** Which of some promises have resolved by now. */
async function settled(promises: readonly Promise<unknown>[]): Promise<boolean[]> {
  const states = promises.map(() => false);
  promises.forEach((promise, index) => {
    promise.then(
      () => {
        states[index] = true;
      },
      () => {},
    );
  });
  await new Promise((resolve) => setImmediate(resolve));
  return states;
}

describe('The bytes of answers', () => {
  const { signal } = new AbortController();

  test('A reservation waits while the user, the tenant or the process holds too much, and is granted in order', async () => {
    const answers = new AnswerBytes(bounds);
    const first = await answers.reserve(alice, 6 * megabyte, signal);
    const waiting = [answers.reserve(alice, 4 * megabyte, signal), answers.reserve(alice, 3 * megabyte, signal)];
    expect(await settled(waiting)).toEqual([false, false]);
    // Of the same tenant, within its bound; then of another one, within that of the process.
    await answers.reserve(bob, 6 * megabyte, signal);
    await answers.reserve(carol, 1, signal);
    const ofCarol = answers.reserve(carol, megabyte, signal);
    await answers.reserve(stranger, 4 * megabyte - 1, signal);
    expect(answers.load).toEqual({ heldBytes: 16 * megabyte, waiting: 3, refused: 0 });
    expect(await settled([...waiting, ofCarol])).toEqual([false, false, false]);
    first[Symbol.dispose]();
    // The second of alice does not fit into the tenant; what fits after it goes first.
    expect(await settled([...waiting, ofCarol])).toEqual([true, false, true]);
  });

  test('A user of whom nothing is under way may reserve any number of bytes, so that everything can be read', async () => {
    const answers = new AnswerBytes(bounds);
    const held = await answers.reserve(alice, 100 * megabyte, signal);
    expect(answers.load.heldBytes).toBe(100 * megabyte);
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    expect(answers.load.heldBytes).toBe(0);
  });

  test('Users who do not read what they hold keep nobody out: who holds nothing may exceed the tenant and the process', async () => {
    const answers = new AnswerBytes(bounds);
    for (const owner of [alice, bob, viewer('y', 'other')]) await answers.reserve(owner, 8 * megabyte, signal);
    // Of their tenant, of another full one, and of one that is not.
    for (const owner of [carol, stranger, viewer('z', 'third')]) await answers.reserve(owner, megabyte, signal);
    const second = answers.reserve(carol, megabyte, signal);
    // Up to twice the bounds: there must be an end.
    const tenth = answers.reserve(viewer('w', 'fourth'), 8 * megabyte, signal);
    expect(await settled([second, tenth])).toEqual([false, false]);
    expect(answers.load).toEqual({ heldBytes: 27 * megabyte, waiting: 2, refused: 0 });
  });

  test('What is under way for more than a minute ends when others wait for its room, the oldest first', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    try {
      const answers = new AnswerBytes(bounds);
      const ended: string[] = [];
      const hold = (owner: Viewer, name: string) => {
        const held = answers.add(owner, 6 * megabyte, () => {
          ended.push(name);
          held[Symbol.dispose]();
        });
      };
      hold(stranger, 'of another tenant');
      hold(alice, 'first of alice');
      hold(bob, 'of bob');
      vi.advanceTimersByTime(58_000);
      const waiting = answers.reserve(alice, 4 * megabyte, signal);
      vi.advanceTimersByTime(1_500);
      expect(ended).toEqual([]);
      expect(await settled([waiting])).toEqual([false]);
      vi.advanceTimersByTime(1_500);
      await waiting;
      // What others hold would not make room for alice.
      expect(ended).toEqual(['first of alice']);
    } finally {
      vi.useRealTimers();
    }
  });

  test('Streams that wait for room go on one after the other, and do not wake up to find it taken', async () => {
    const answers = new AnswerBytes(bounds);
    const held = answers.add(alice, 8 * megabyte + 1);
    let woken = 0;
    const leaving = new AbortController();
    const goOn = async () => {
      await answers.waitForRoom(alice, leaving.signal);
      woken += 1;
      if (leaving.signal.aborted) return;
      answers.add(alice, 4 * megabyte);
    };
    const streams = Array.from({ length: 300 }, () => goOn());
    expect(answers.waitingStreams).toBe(300);
    held[Symbol.dispose]();
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    // Three times four megabytes are more than eight.
    expect(woken).toBe(3);
    // Those whose clients leave wait no more, also if there is never room again.
    leaving.abort();
    await Promise.all(streams);
    expect([woken, answers.waitingStreams]).toEqual([300, 0]);
  });

  test('A reservation whose operation has ended is given up, and holds nothing', async () => {
    const answers = new AnswerBytes(bounds);
    await answers.reserve(alice, 8 * megabyte, signal);
    const controller = new AbortController();
    const waiting = answers.reserve(alice, megabyte, controller.signal);
    controller.abort();
    await expect(waiting).rejects.toThrow(RateLimitedError);
    expect(answers.load).toEqual({ heldBytes: 8 * megabyte, waiting: 0, refused: 1 });
  });

  test('A reservation that was given up is not granted by what is released in the same moment', async () => {
    const answers = new AnswerBytes(bounds);
    const held = await answers.reserve(alice, 8 * megabyte, signal);
    const controller = new AbortController();
    const waiting = answers.reserve(alice, megabyte, controller.signal);
    controller.abort();
    held[Symbol.dispose]();
    await expect(waiting).rejects.toThrow(RateLimitedError);
    expect(answers.load).toEqual({ heldBytes: 0, waiting: 0, refused: 1 });
  });

  test('A client that does not read its answers gets no more, and others do', async () => {
    const reports: AnswerLoad[] = [];
    const answers = new AnswerBytes(bounds, (load) => reports.push(load));
    const written = answers.add(alice, 17 * megabyte);
    expect(() => answers.assertRoom(alice)).toThrow(RateLimitedError);
    expect(() => answers.assertRoom(alice)).toThrow('Too many answers have not been read.');
    answers.assertRoom(bob);
    expect(answers.isFull(alice)).toBe(true);
    const room = answers.waitForRoom(alice, signal);
    expect(await settled([room])).toEqual([false]);
    await answers.waitForRoom(stranger, signal);
    written[Symbol.dispose]();
    await room;
    answers.assertRoom(alice);
    // The log hears of it once, not for every refusal.
    expect(reports).toHaveLength(1);
  });
});

describe('The budget of an answer', () => {
  test('An answer reserves nothing for a little, and all that it may take for more', async () => {
    const answers = new AnswerBytes(bounds);
    const budget = new AnswerBudget(answers, alice);
    await budget.take(freeBytes);
    expect(answers.load.heldBytes).toBe(0);
    await budget.take(1);
    await budget.take(megabyte);
    expect(answers.load.heldBytes).toBe(bounds.operation);
    expect(budget.remaining).toBe(bounds.operation - freeBytes - megabyte - 1);
    budget[Symbol.dispose]();
    await expect.poll(() => answers.load.heldBytes).toBe(0);
  });

  test('An answer that is complete holds what it has become, and makes room for others', async () => {
    const answers = new AnswerBytes(bounds);
    const [budget, other] = [new AnswerBudget(answers, alice), new AnswerBudget(answers, alice)];
    await Promise.all([budget.take(megabyte), other.take(megabyte)]);
    expect(answers.load.heldBytes).toBe(2 * bounds.operation);
    const waiting = answers.reserve(alice, megabyte, new AbortController().signal);
    expect(await settled([waiting])).toEqual([false]);
    budget.count(megabyte);
    budget.shrink();
    await waiting;
    expect(answers.load.heldBytes).toBe(bounds.operation + 2 * megabyte);
    budget[Symbol.dispose]();
    other[Symbol.dispose]();
    await expect.poll(() => answers.load.heldBytes).toBe(megabyte);
  });

  test('An answer holds its first object whatever its size, and nothing beyond the budget after that', async () => {
    const budget = new AnswerBudget(new AnswerBytes(bounds), alice);
    await budget.take(5 * megabyte);
    await expect(budget.take(1)).rejects.toThrow('The answer would have more than 4,194,304 bytes.');
  });

  test('An answer cannot repeat what it has read until it is too large', () => {
    const budget = new AnswerBudget(new AnswerBytes(bounds), alice);
    for (let n = 0; n < 5; n += 1) budget.count(megabyte);
    expect(() => budget.count(megabyte)).toThrow('The answer would have more than 4,194,304 bytes.');
  });
});
