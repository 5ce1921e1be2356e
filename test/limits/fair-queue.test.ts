import { expect, test } from 'vitest';
import { FairQueue } from '../../src/limits/fair-queue.ts';

test('Work of one key runs in order, as many at a time as may; other keys do not wait for it', async () => {
  const queue = new FairQueue('turns', { running: 2, waiting: 10 });
  const begun: string[] = [];
  const gates = new Map<string, () => void>();
  const work = (name: string) => () => {
    begun.push(name);
    return new Promise<string>((resolve) => gates.set(name, () => resolve(name)));
  };
  const results = ['a', 'b', 'c', 'd'].map((name) => queue.run('one', work(name)));
  const other = queue.run('two', work('other'));
  expect(begun).toEqual(['a', 'b', 'other']);
  gates.get('b')?.();
  expect(await results[1]).toBe('b');
  await expect.poll(() => begun).toEqual(['a', 'b', 'other', 'c']);
  for (const name of ['a', 'c', 'other']) gates.get(name)?.();
  await expect.poll(() => begun).toContain('d');
  gates.get('d')?.();
  expect(await Promise.all([...results, other])).toEqual(['a', 'b', 'c', 'd', 'other']);
  expect(queue.size).toBe(0);
});

test('A line that is full refuses, and work that fails makes room', async () => {
  const queue = new FairQueue('turns of this conversation', { running: 1, waiting: 2 });
  const gate = Promise.withResolvers<void>();
  const fail = async () => {
    await gate.promise;
    throw new Error('failed');
  };
  const accepted = Array.from({ length: 3 }, () => queue.run('k', fail));
  await expect(queue.run('k', fail)).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    message: 'Too many turns of this conversation are being started at the same time: at most 2 can wait.',
  });
  expect(await queue.run('other', async () => 'works')).toBe('works');
  gate.resolve();
  for (const result of await Promise.allSettled(accepted)) expect(result.status).toBe('rejected');
  expect(queue.size).toBe(0);
  expect(await queue.run('k', async () => 'works')).toBe('works');
});
