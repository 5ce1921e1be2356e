import { expect, onTestFinished, test } from 'vitest';
import { raceAbort } from '../../src/engine/abort.ts';

/** What is rejected and heard by nobody while a test runs. */
function watchRejections(): unknown[] {
  const unheard: unknown[] = [];
  const note = (reason: unknown) => unheard.push(reason);
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', note);
  onTestFinished(() => {
    process.off('unhandledRejection', note);
    for (const listener of others) process.on('unhandledRejection', listener);
  });
  return unheard;
}
const nextTurns = async () => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('Work whose signal was aborted before, or is aborted first, may fail unheard: the process does not end of it', async () => {
  const unheard = watchRejections();
  const before = AbortSignal.abort(new Error('stopped before'));
  await expect(raceAbort(Promise.reject(new Error('the work')), before)).rejects.toThrow('stopped before');
  const later = new AbortController();
  const work = Promise.withResolvers<never>();
  const race = raceAbort(work.promise, later.signal);
  later.abort(new Error('stopped first'));
  await expect(race).rejects.toThrow('stopped first');
  work.reject(new Error('the work'));
  await nextTurns();
  expect(unheard).toEqual([]);
});

test('Work that is first gives what it has, or its error', async () => {
  const { signal } = new AbortController();
  expect(await raceAbort(Promise.resolve(7), signal)).toBe(7);
  await expect(raceAbort(Promise.reject(new Error('the work')), signal)).rejects.toThrow('the work');
});
