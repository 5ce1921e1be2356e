import { expect, test } from 'vitest';
import { CallAssembler } from '../../src/providers/llm/call-assembler.ts';

const fragment = { index: 0, id: '', name: 'look_up', extra: null };

test('Fragments that each end with a brace within a text do not have the whole of it parsed each time', () => {
  const calls = new CallAssembler(['look_up']);
  calls.push({ ...fragment, arguments: '{"text":"' });
  for (let count = 0; count < 200_000; count += 1) calls.push({ ...fragment, arguments: '}' });
  calls.push({ ...fragment, arguments: '"}' });
  expect(calls.calls.map(({ arguments: text }) => JSON.parse(text).text.length)).toEqual([200_000]);
});

test('A second call begins where the arguments of the first are whole, without an index or an id', () => {
  const calls = new CallAssembler(['look_up']);
  for (const text of ['{"a":{', '}', '}', '{"b":', '1}'])
    calls.push({ ...fragment, index: undefined, arguments: text });
  expect(calls.calls.map((call) => call.arguments)).toEqual(['{"a":{}}', '{"b":1}']);
});
