import { afterEach, expect, test, vi } from 'vitest';
import { Rounds } from '../../src/database/rounds.ts';

afterEach(() => vi.useRealTimers());

function openRounds() {
  vi.useFakeTimers();
  const begun: PromiseWithResolvers<void>[] = [];
  const problems: string[] = [];
  const rounds = new Rounds({
    everyMs: 60_000,
    work: () => {
      const round = Promise.withResolvers<void>();
      begun.push(round);
      return round.promise;
    },
    problem: 'failed to sweep',
    logger: { error: (_values: object, message?: string) => void problems.push(message ?? '') },
  });
  return { rounds, begun, problems, pass: (minutes: number) => vi.advanceTimersByTimeAsync(minutes * 60_000) };
}

test('One round is under way at a time, one that fails is logged, and the next one comes', async () => {
  const { rounds, begun, problems, pass } = openRounds();
  await pass(5);
  expect(begun).toHaveLength(0);
  rounds.start();
  rounds.start();
  await pass(3);
  expect(begun).toHaveLength(1);
  begun[0]?.reject(new Error('The database is away.'));
  await pass(1);
  expect(problems).toEqual(['failed to sweep']);
  expect(begun).toHaveLength(2);
  begun[1]?.resolve();
  await pass(1);
  expect(begun).toHaveLength(3);
  begun[2]?.resolve();
  await rounds[Symbol.asyncDispose]();
});

test('Its end waits for the round that is under way, and no other one begins', async () => {
  const { rounds, begun, pass } = openRounds();
  rounds.start();
  await pass(1);
  let ended = false;
  const end = rounds[Symbol.asyncDispose]().then(() => {
    ended = true;
  });
  await pass(5);
  expect([begun.length, ended]).toEqual([1, false]);
  begun[0]?.resolve();
  await end;
  expect(begun).toHaveLength(1);
});
