import { describe, expect, test, vi } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import { AnswerPace } from '../../src/limits/answer-pace.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';

const owner = (userId: string, tenantId = 'acme') => ({ userId, tenantId });
const [alice, bob, stranger] = [owner('alice'), owner('bob'), owner('alice', 'other')];
const { signal } = new AbortController();
const inAMinute = { user: { points: 1_000, seconds: 60 }, tenant: { points: 1_500, seconds: 60 } };

describe('The pace of large answers', () => {
  test('Whoever has read as much as a period allows is refused if the next one is far, and nobody else is', async () => {
    const pace = new AnswerPace({ ...inAMinute, tenant: null });
    await pace.take(alice, 999, signal);
    // The one that exceeds the period may be of any size: each object can be read.
    await pace.take(alice, 1_000_000, signal);
    const refused = await pace.take(alice, 1, signal).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RateLimitedError);
    expect(refused).toMatchObject({ message: expect.stringContaining('1,000 bytes in 60 seconds') });
    await pace.take(bob, 1, signal);
    await pace.take(stranger, 1, signal);
  });

  test('The users of a tenant share a pace, and other tenants do not', async () => {
    const pace = new AnswerPace(inAMinute);
    await pace.take(alice, 900, signal);
    await pace.take(bob, 900, signal);
    await expect(pace.take(owner('carol'), 1, signal)).rejects.toThrow(RateLimitedError);
    await pace.take(stranger, 900, signal);
  });

  test('Bytes that an operation reads after it has begun count for the next one', async () => {
    const pace = new AnswerPace(inAMinute);
    await pace.take(alice, 300, signal);
    await pace.count(alice, 1_000);
    await expect(pace.take(alice, 1, signal)).rejects.toThrow(RateLimitedError);
  });

  test('Those who wait for the next period get a part of it each, and who leaves waits no more', async () => {
    const pace = new AnswerPace({ user: { points: 100, seconds: 1 }, tenant: null });
    const leaving = new AbortController();
    await pace.take(alice, 100, signal);
    const order: string[] = [];
    const wait = (name: string, until: AbortSignal) =>
      pace.take(alice, 100, until).then(
        () => order.push(name),
        () => order.push(`${name} left`),
      );
    const waiting = [wait('first', signal), wait('second', leaving.signal)];
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([]);
    leaving.abort();
    await Promise.all(waiting);
    expect(order).toEqual(['second left', 'first']);
  });

  test('The next event of a stream waits as long as it takes, until its reader leaves', async () => {
    const pace = new AnswerPace({ user: { points: 100, seconds: 3_600 }, tenant: null });
    const leaving = new AbortController();
    await pace.wait(alice, 100, signal);
    let over = false;
    const waiting = pace.wait(alice, 100, leaving.signal).then(() => {
      over = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    leaving.abort();
    await waiting;
    await pace.wait(bob, 100, signal);
  });

  test('Without a limit nobody waits', async () => {
    const pace = new AnswerPace(null);
    for (let times = 0; times < 3; times += 1) await pace.take(alice, 1e12, signal);
    await pace.count(alice, 1e12);
  });
});

test('Long events of streams are read at that pace, over each transport, and nothing of them is lost', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_ANSWER_BYTES: '500000/1' } });
  const text = 'word '.repeat(80_000);
  app.model.add({ text });
  const chat = await openChat(app);
  const [started] = await chat.readToEnd('Go');
  const runId = started?.runId ?? '';
  const waits = vi.spyOn(AnswerPace.prototype, 'wait');
  for (const transport of ['ws', 'sse', 'ws'] as const) {
    const texts = assembleTexts(await chat.runEvents(transport, runId).rest());
    expect([...texts.values()]).toEqual([text]);
  }
  expect(waits.mock.calls.map(([, bytes]) => bytes).every((bytes) => bytes >= text.length)).toBe(true);
  expect(waits).toHaveBeenCalledTimes(3);
  waits.mockRestore();
});
