import { expect, test } from 'vitest';
import { bytesPerTurn, cutChunk, ReadTurns } from '../../src/providers/llm/read-turns.ts';

test('Answers are read a little in each turn of the event loop, and a short one waits one turn for each long one', async () => {
  const turns = new ReadTurns(100);
  const read: string[] = [];
  const flood = async (name: string) => {
    for (let piece = 0; piece < 50; piece += 1) {
      await turns.wait(100);
      read.push(name);
    }
  };
  const floods = Promise.all([flood('a'), flood('b'), flood('c')]);
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 6; turn += 1) await nextTurn();
  // One piece at a time, whoever sends it.
  expect(read.length).toBeLessThanOrEqual(7);
  expect(new Set(read)).toEqual(new Set(['a', 'b', 'c']));
  const before = read.length;
  await turns.wait(10);
  expect(read.length - before).toBeLessThanOrEqual(4);
  await floods;
  expect(read).toHaveLength(150);
  // What fits is not held back at all; the first piece may have any size.
  await nextTurn();
  expect([turns.wait(50), turns.wait(50)]).toEqual([null, null]);
  expect(turns.wait(1)).not.toBeNull();
});

test('A chunk is cut into pieces that hold all of it, in order', () => {
  const chunk = Uint8Array.from({ length: 2 * bytesPerTurn + 5 }, (_, index) => index % 251);
  const pieces = cutChunk(chunk);
  expect(pieces.map(({ length }) => length)).toEqual([bytesPerTurn, bytesPerTurn, 5]);
  expect(Buffer.concat(pieces)).toEqual(Buffer.from(chunk));
  expect(cutChunk(chunk.subarray(0, 7))).toEqual([chunk.subarray(0, 7)]);
});
