import { expect, test } from 'vitest';
import { BodyPieces, cutChunk } from '../../src/providers/llm/body-pieces.ts';
import { bytesPerPiece, ReadTurns, unitsPerPiece } from '../../src/providers/llm/read-turns.ts';

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (pieces: readonly (Uint8Array | undefined)[]) =>
  Buffer.concat(pieces.map((piece) => piece ?? bytes(''))).toString();

test('Answers are read a little in each turn of the event loop, and a short one waits one turn for each long one', async () => {
  const turns = new ReadTurns(unitsPerPiece + 100);
  const read: string[] = [];
  const flood = async (name: string) => {
    for (let piece = 0; piece < 50; piece += 1) {
      await turns.wait(() => 100);
      read.push(name);
    }
  };
  const floods = Promise.all([flood('a'), flood('b'), flood('c')]);
  for (let turn = 0; turn < 6; turn += 1) await nextTurn();
  // One piece at a time, whoever sends it.
  expect(read.length).toBeLessThanOrEqual(7);
  expect(new Set(read)).toEqual(new Set(['a', 'b', 'c']));
  const before = read.length;
  await turns.wait(() => 10);
  expect(read.length - before).toBeLessThanOrEqual(4);
  await floods;
  expect(read).toHaveLength(150);
  // What fits is not held back at all; the first piece may have any size.
  await nextTurn();
  expect(turns.wait(() => 1_000)).toBeNull();
  expect(turns.wait(() => 1)).not.toBeNull();
});

test('A chunk is cut into pieces that hold all of it, in order', () => {
  const chunk = Uint8Array.from({ length: 2 * bytesPerPiece + 5 }, (_, index) => index % 251);
  const pieces = cutChunk(chunk);
  expect(pieces.map(({ length }) => length)).toEqual([bytesPerPiece, bytesPerPiece, 5]);
  expect(Buffer.concat(pieces)).toEqual(Buffer.from(chunk));
  expect(cutChunk(chunk.subarray(0, 7))).toEqual([chunk.subarray(0, 7)]);
});

/** A body whose chunks are given one at a time. */
function openBody() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, undefined, { highWaterMark: 1_000 });
  const writer = writable.getWriter();
  const pieces = new BodyPieces(readable.getReader());
  return { pieces, write: (text: string) => void writer.write(bytes(text)).catch(() => {}), writer };
}

test('What arrives while an answer waits for its turn is taken together, up to one piece, and nothing is lost', async () => {
  const { pieces, write, writer } = openBody();
  write('a');
  const first = await pieces.next();
  expect(textOf([first])).toBe('a');
  // Without a wait, nothing is read ahead.
  write('b');
  await nextTurn();
  expect(pieces.countReady(1)).toBe(0);
  pieces.readAhead();
  for (const text of ['c', 'd']) write(text);
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  expect(pieces.countReady(1)).toBe(3);
  expect(textOf(pieces.takeReady(1))).toBe('bcd');
  // No more than a piece, and what is over comes next.
  const half = 'x'.repeat(bytesPerPiece / 2);
  pieces.readAhead();
  for (const text of [half, half, half, half]) write(text);
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
  const taken = textOf(pieces.takeReady(bytesPerPiece / 2));
  expect(taken).toBe(half);
  let rest = '';
  void writer.close();
  for (let piece = await pieces.next(); piece; piece = await pieces.next()) rest += textOf([piece]);
  expect(rest).toBe(half.repeat(3));
  expect(await pieces.next()).toBeUndefined();
});

test('A connection that breaks while an answer waits for its turn gives what it has given, and fails after it', async () => {
  const { pieces, write, writer } = openBody();
  write('a');
  await pieces.next();
  pieces.readAhead();
  write('b');
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  const broken = new Error('The connection broke.');
  void writer.abort(broken).catch(() => {});
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  expect(textOf(pieces.takeReady(1))).toBe('b');
  await expect(pieces.next()).rejects.toBe(broken);
});

test('A piece that grows while it waits takes as much of a turn as it has become', async () => {
  const turns = new ReadTurns(3 * unitsPerPiece);
  let grown = 1;
  expect(turns.wait(() => 2 * unitsPerPiece)).toBeNull();
  const waits = turns.wait(() => grown);
  const after = turns.wait(() => 1);
  grown = 2 * unitsPerPiece;
  let isNext = false;
  void after?.then(() => {
    isNext = true;
  });
  await waits;
  await Promise.resolve();
  expect(isNext).toBe(false);
  await after;
});
