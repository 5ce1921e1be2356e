import { expect, test } from 'vitest';
import { readCallResult } from '../../src/tools/mcp/result.ts';

test.each([
  ['aGVsbG8=', 5],
  ['aGVsbA==', 4],
  ['', 0],
  ['====', 0],
])('A picture of the base64 %j is told by its size in bytes', (data, bytes) => {
  const content = [{ type: 'image', mimeType: 'image/png', data }];
  expect(readCallResult({ content }, 1_000, [])).toMatchObject({ ok: true, result: { type: 'image', bytes } });
});

test('A picture that is nothing but padding, and one character that is none, is described at once', () => {
  const data = `${'='.repeat(1_000_000)}x`;
  const content = [{ type: 'resource', resource: { uri: 'file:///x', blob: data } }];
  expect(readCallResult({ content }, 1_000, [])).toMatchObject({ ok: true, result: { bytes: 750_000 } });
});
