import { describe, expect, test } from 'vitest';
import { hideInJson, hideInOutcome, hideInText } from '../../src/tools/contract/redact.ts';

const secret = 'Bearer a/b"c\\d-é-98765';
const written = JSON.stringify({ echo: secret, more: 'x\ny' });
const phpStyle = written.replaceAll('/', '\\/').replaceAll('é', '\\u00e9');

describe('a secret in a text', () => {
  test.each([
    ['as it is', `It was ${secret}.`, 'It was [secret].'],
    ['as JSON', written, '{"echo":"[secret]","more":"x\\ny"}'],
    ['as PHP writes JSON', phpStyle, '{"echo":"[secret]","more":"x\\ny"}'],
    [
      'as JSON that is a text in JSON',
      JSON.stringify(phpStyle),
      '"{\\"echo\\":\\"[secret]\\",\\"more\\":\\"x\\\\ny\\"}"',
    ],
    ['as Java writes JSON', written.replaceAll('é', '\\u00E9'), '{"echo":"[secret]","more":"x\\ny"}'],
    ['in a URL', `/x?key=${encodeURIComponent(secret)}&n=1`, '/x?key=[secret]&n=1'],
    ['in a form', `${new URLSearchParams({ key: secret })}`, 'key=[secret]'],
    ['in a URL, in lower case', encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()), '[secret]'],
    ['as base64', `Basic ${Buffer.from(secret).toString('base64')}`, 'Basic [secret]'],
    ['twice', `${phpStyle} ${secret}`, '{"echo":"[secret]","more":"x\\ny"} [secret]'],
    ['in JSON that was cut', `[${phpStyle.slice(0, -10)}`, expect.stringMatching(/^\[\{"echo":"\[secret\]"/)],
  ])('A secret is hidden in a text: %s', (_how, text, shown) => {
    expect(hideInText(text, [secret, secret.slice(7)])).toEqual(shown);
  });

  test('Only the secret is hidden in a text', () => {
    const text = 'C:\\Users\\me says \\"hello\\" and \\u00e9\\n\\\\';
    expect(hideInText(text, [secret, 'abcdef', '\\\\\\\\\\\\\\'])).toBe(text);
    expect(hideInText(text, [])).toBe(text);
  });

  test('A secret is hidden among thousands of backslashes', () => {
    const many = '\\'.repeat(20_000);
    expect(hideInText(`${many}${phpStyle}`, [secret])).toContain('{"echo":"[secret]"');
  });
});

test('A secret is hidden in a JSON value: in its texts and keys, and in JSON that is a text in it', () => {
  const value = { [secret]: 1, list: [secret, { text: `It is ${phpStyle}` }], n: 7 };
  expect(hideInJson(value, [secret])).toEqual({
    '[secret]': 1,
    list: ['[secret]', { text: 'It is {"echo":"[secret]","more":"x\\ny"}' }],
    n: 7,
  });
  const clean = { a: 'b\nc' };
  expect(hideInJson(clean, [secret])).toBe(clean);
});

test('A secret is hidden in an error', () => {
  expect(hideInOutcome({ ok: false, error: `No: ${phpStyle}` }, [secret])).toEqual({
    ok: false,
    error: 'No: {"echo":"[secret]","more":"x\\ny"}',
  });
});
