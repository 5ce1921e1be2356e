import { describe, expect, test } from 'vitest';
import { parseAnswer } from '../../src/providers/llm/structured-output.ts';

describe('The answer of a model that was asked for JSON', () => {
  test.each([
    ['{"a":1}', { a: 1 }],
    ['  {"a":1}\n', { a: 1 }],
    ['```json\n{"a":1}\n```', { a: 1 }],
    ['```\n{"a":1}```', { a: 1 }],
    ['```json{"a":"```"}```', { a: '```' }],
    ['```', undefined],
    ['``````', undefined],
    ['````', undefined],
    ['```json```', undefined],
    ['Here it is: {"a":1}', undefined],
    ['', undefined],
  ])('%j is read, with a fence or without', (written, value) => {
    expect(parseAnswer(written)).toEqual(value);
  });

  test('A fence that is never closed around white space is read at once: a model may write any text', () => {
    for (const blank of [' ', '\n', ' \n']) {
      const space = blank.repeat(20_000 / blank.length);
      expect(parseAnswer(`\`\`\`${space}x`)).toBeUndefined();
      expect(parseAnswer(`\`\`\`json${space}x${space}\`\`x`)).toBeUndefined();
      expect(parseAnswer(`\`\`\`json${space}{"a":1}${space}\`\`\``)).toEqual({ a: 1 });
    }
  });
});
