import { expect, test } from 'vitest';
import { RunEventBuffer } from '../../src/log/event-buffer.ts';
import { RunReplays } from '../../src/log/run-replays.ts';

function bufferOf(runId: string, characters = 10): RunEventBuffer {
  const buffer = new RunEventBuffer(runId);
  buffer.fill([
    { type: 'TextDelta', messageId: 'm', offset: 0, delta: 'x'.repeat(characters), seq: 1, runId, at: 0 },
    { type: 'RunCompleted', seq: 2, runId, at: 0 },
  ]);
  return buffer;
}

test('Readers of a run that come together share one reading of its archive', async () => {
  const replays = new RunReplays();
  let loads = 0;
  const load = async () => {
    loads += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return bufferOf('a');
  };
  const buffers = await Promise.all(Array.from({ length: 100 }, () => replays.open('a', 2, load)));
  expect(new Set(buffers).size).toBe(1);
  expect(await replays.open('a', 2, load)).toBe(buffers[0]);
  expect(loads).toBe(1);
  // The archive of a run that waits becomes longer.
  await replays.open('a', 3, load);
  expect(loads).toBe(2);
  loads = 1;
  await replays.open('b', 2, async () => bufferOf('b'));
  expect(loads).toBe(1);
});

test('A run without an archive, and a reading that failed, are read again', async () => {
  const replays = new RunReplays();
  expect(await replays.open('a', 2, async () => null)).toBeNull();
  await expect(replays.open('a', 2, () => Promise.reject(new Error('unreachable')))).rejects.toThrow('unreachable');
  expect((await replays.open('a', 2, async () => bufferOf('a')))?.lastSeq).toBe(2);
});

test('The buffers that are kept have at most so many bytes together; the oldest are read again', async () => {
  const replays = new RunReplays();
  let loads = 0;
  const open = (runId: string) =>
    replays.open(runId, 2, async () => {
      loads += 1;
      return bufferOf(runId, 8_000_000);
    });
  for (let run = 0; run < 12; run += 1) await open(`run ${run}`);
  expect(loads).toBe(12);
  await open('run 11');
  expect(loads).toBe(12);
  await open('run 0');
  expect(loads).toBe(13);
});
