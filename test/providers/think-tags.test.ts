import { describe, expect, test } from 'vitest';
import { type TextPart, ThinkTagSplitter } from '../../src/providers/llm/think-tags.ts';

/** What comes out if a text arrives in pieces of some length, joined. */
function split(text: string, length: number): TextPart[] {
  const splitter = new ThinkTagSplitter();
  const joined: TextPart[] = [];
  const add = (parts: readonly TextPart[]) => {
    for (const part of parts) {
      const last = joined.at(-1);
      if (last?.type === part.type) joined[joined.length - 1] = { ...part, delta: last.delta + part.delta };
      else joined.push(part);
    }
  };
  for (let at = 0; at < text.length; at += length) add(splitter.push(text.slice(at, at + length)));
  add(splitter.end());
  return joined;
}

describe('The tags around reasoning', () => {
  test.each([
    [' \n <think> a \n\n b</think>\n\n  Hello </think> ', 'a \n\n b', 'Hello </think> '],
    ['\n\n  Hello\n <think>no</think>', null, '  Hello\n <think>no</think>'],
    [' \n \n<thin', null, '<thin'],
    [' \n ', null, null],
    ['<think>  \n a', '  \n a', null],
  ])('%j is split in the same way, in whichever pieces it arrives', (written, reasoning, text) => {
    const whole = split(written, written.length);
    expect(whole.find(({ type }) => type === 'text')?.delta ?? null).toBe(text);
    if (reasoning !== null) expect(whole[0]?.delta.trim()).toBe(reasoning.trim());
    for (const length of [1, 2, 3, 7]) expect(split(written, length)).toEqual(whole);
  });

  test('Blanks without end cost the same each, before the text and behind the reasoning', () => {
    const blanks = ' '.repeat(500_000);
    expect(split(`${blanks}\n<think>a</think>${blanks}b`, 1)).toEqual([
      { type: 'reasoning', delta: 'a' },
      { type: 'text', delta: 'b' },
    ]);
  });
});
