import { expect, test } from 'vitest';
import { ModelError } from '../../src/engine/ports.ts';
import { EventStreamDecoder } from '../../src/providers/llm/event-stream.ts';

const stream = '\ufeffdata: é😀\r\n\r\nevent: error\ndata: one\ndata:two\n: comment\nid: 7\n\n\n\ndata: last';
const expected = [
  ['', 'é😀'],
  ['error', 'one\ntwo'],
  ['', 'last'],
];

test.each([1, 2, 3, 5, 8, 1000])('Events are read whole from pieces of %i bytes', (size) => {
  const events: string[][] = [];
  const decoder = new EventStreamDecoder((name, data) => void events.push([name, data]));
  const bytes = Buffer.from(stream);
  for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
  expect(events).toEqual(expected.slice(0, 2));
  decoder.end();
  expect(events).toEqual(expected);
});

test('A long line in small pieces is read, one without end is not', () => {
  const lengths: number[] = [];
  const decoder = new EventStreamDecoder((_name, data) => void lengths.push(data.length));
  const piece = Buffer.from('x'.repeat(1_000));
  const pour = (pieces: number) => {
    for (let n = 0; n < pieces; n++) decoder.push(piece);
  };
  decoder.push(Buffer.from('data: '));
  pour(15_000);
  decoder.push(Buffer.from('\n\ndata: '));
  expect(lengths).toEqual([15_000_000]);
  expect(() => pour(17_000)).toThrow(ModelError);
});
