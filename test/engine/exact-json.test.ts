import { describe, expect, test } from 'vitest';
import { isExactNumber, mayBeRounded, parseExactJson } from '../../src/engine/exact-json.ts';
import { readCallResult } from '../../src/tools/mcp/result.ts';

describe('JSON is read without rounding', () => {
  test.each<[string, unknown]>([
    ['1234567890123456789', '1234567890123456789'],
    ['-9007199254740993', '-9007199254740993'],
    ['{"a":[{"id":9007199254740993,"n":1}]}', { a: [{ id: '9007199254740993', n: 1 }] }],
    ['10000000000000000000000', '10000000000000000000000'],
    ['1e999', '1e999'],
    ['[-1E+400]', ['-1E+400']],
  ])('The number %s, which JavaScript cannot hold, keeps its digits as a text', (json, value) => {
    const { value: read, inexact } = parseExactJson(json);
    expect(read).toEqual(value);
    expect(json).toContain(inexact);
    expect(inexact).not.toBeNull();
  });

  test.each([
    '9007199254740991',
    '9007199254740992',
    '100000000000000000000',
    '-0',
    '1.0',
    '0.1000000000000000055511151231257827',
    '1e3',
    '1.5e300',
    '"1234567890123456789"',
    '{"1234567890123456789":"1e999"}',
    '{"id":"550e8400-e29b-41d4-a716-446655440000","n":12345}',
  ])('The JSON %s is read as JSON.parse reads it', (json) => {
    expect(parseExactJson(json)).toEqual({ value: JSON.parse(json), inexact: null });
  });

  test('The first number that cannot be held is named', () => {
    expect(parseExactJson('[1,12345678901234567890,98765432109876543210]').inexact).toBe('12345678901234567890');
  });

  test.each(['', '{', '01234567890123456789', '{12345678901234567890:1}', '12345678901234567890x'])(
    'The text %j is refused as JSON',
    (json) => {
      expect(() => parseExactJson(json)).toThrow(SyntaxError);
    },
  );

  test('A number that was parsed already may have been rounded from 2^53 on', () => {
    expect([2 ** 53, -(2 ** 60), 1234567890123456800].map(mayBeRounded)).toEqual([true, true, true]);
    expect([2 ** 53 - 1, 0.5, 1e21, Number.NaN, '1', null, {}].map(mayBeRounded)).toEqual(Array(7).fill(false));
    expect(['1', '12.5', '9007199254740993', '1e999'].map(isExactNumber)).toEqual([true, true, false, false]);
  });
});

describe('the numbers in the answer of an MCP tool', () => {
  const written = '{"id":1234567890123456789,"ok":true}';
  const exact = { ok: true, result: { id: '1234567890123456789', ok: true } };

  test('An MCP tool’s answer keeps its numbers as the text of a JSON object', () => {
    expect(readCallResult({ content: [{ type: 'text', text: written }] }, 1_000, [])).toEqual(exact);
  });

  test('An MCP tool’s answer keeps its numbers as structured content that is sent as a text as well', () => {
    const structuredContent: Record<string, unknown> = JSON.parse(written);
    const text = { type: 'text', text: written };
    expect(readCallResult({ content: [text], structuredContent }, 1_000, [])).toEqual(exact);
    const other = { type: 'text', text: '{"id":1234567890123456789,"ok":false}' };
    expect(readCallResult({ content: [other], structuredContent }, 1_000, [])).toEqual({
      ok: true,
      result: structuredContent,
    });
  });
});
