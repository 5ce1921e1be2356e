import { describe, expect, test } from 'vitest';
import { checkArguments } from '../../src/guardrails/check-text.ts';
import { type PiiKind, readGuardrails } from '../../src/guardrails/config.ts';
import { compileMatcher, findIn, redact } from '../../src/guardrails/find.ts';
import { normalize } from '../../src/guardrails/normalize.ts';
import { compilePatterns, findPatterns, isPatternProblem } from '../../src/guardrails/patterns.ts';
import { planGuardrails } from '../../src/guardrails/plan.ts';

function clean(text: string, check: Parameters<typeof compileMatcher>[0]): string {
  const matcher = compileMatcher(check);
  if (!matcher) throw new Error('This check asks a provider.');
  return redact(text, findIn(text, matcher));
}
const withoutPii = (text: string, ...kinds: PiiKind[]) => clean(text, { type: 'PII', kinds });
const without = (text: string, ...patterns: string[]) => clean(text, { type: 'PATTERN', patterns });

describe('Personal data', () => {
  test.each<[PiiKind, string, string]>([
    ['EMAIL', 'Write to bob.o+x@mail.example.co.uk, please.', 'Write to [EMAIL], please.'],
    ['EMAIL', 'Grüße an jürgen@müller.de!', 'Grüße an [EMAIL]!'],
    ['PHONE', 'Call +49 (0)170 123-4567 now.', 'Call [PHONE] now.'],
    ['PHONE', 'Call 030 / 1234567 or (555) 123-4567.', 'Call 030 / 1234567 or [PHONE].'],
    ['CREDIT_CARD', 'Card 4111 1111 1111 1111 123, thanks', 'Card [CREDIT_CARD] 123, thanks'],
    ['CREDIT_CARD', 'Card 378282246310005.', 'Card [CREDIT_CARD].'],
    ['IBAN', 'To DE89 3704 0044 0532 0130 00 and then stop.', 'To [IBAN] and then stop.'],
    ['IBAN', 'gb82west12345698765432', '[IBAN]'],
    ['IP_ADDRESS', 'From 10.0.0.255 or 2001:db8::1.', 'From [IP_ADDRESS] or [IP_ADDRESS].'],
    ['NATIONAL_ID', 'SSN 078-05-1120, NINO AB 12 34 56 C.', 'SSN [NATIONAL_ID], NINO [NATIONAL_ID].'],
    ['NATIONAL_ID', 'DNI 12345678Z, PESEL 44051401359.', 'DNI [NATIONAL_ID], PESEL [NATIONAL_ID].'],
    ['NATIONAL_ID', 'Steuer-ID 86095742719, CF RSSMRA85T10A562S', 'Steuer-ID [NATIONAL_ID], CF [NATIONAL_ID]'],
    ['NATIONAL_ID', 'NIR 2 55 08 14 168 025 38, 811228-9874', 'NIR [NATIONAL_ID], [NATIONAL_ID]'],
  ])('%s is found in %s', (kind, text, expected) => {
    expect(withoutPii(text, kind)).toBe(expected);
  });

  test.each<[PiiKind, string]>([
    ['EMAIL', 'a @ b, x@y, @name and me@localhost'],
    ['PHONE', 'On 01.02.2026 we sold 1234567 pieces of 12-34-56 for 1,000,000.'],
    ['CREDIT_CARD', 'Order 4111 1111 1111 1112 and 1234567890123456'],
    ['IBAN', 'DE89 3704 0044 0532 0130 01 and AB12 is a seat'],
    ['IP_ADDRESS', 'At 12:30:45, version 1.2.3.4.5 of 300.1.1.1'],
    ['NATIONAL_ID', '000-12-3456, 12345678A and 44051401358'],
  ])('%s is not found in %s', (kind, text) => {
    expect(withoutPii(text, kind)).toBe(text);
  });

  test('A text of repeated beginnings takes no longer than its length', () => {
    for (const piece of ['a', '1 ', '@a', 'DE89 ', '1-', ':', '1.', '+4', '&', '&#', '&a', '\u0301', '\u1100']) {
      const text = piece.repeat(50_000 / piece.length);
      withoutPii(text, 'EMAIL', 'PHONE', 'CREDIT_CARD', 'IBAN', 'IP_ADDRESS', 'NATIONAL_ID');
    }
  });
});

describe('Normalisation', () => {
  test.each<[string, string]>([
    ['full-width letters', 'ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ'],
    ['zero-width joiners', 'b\u200do\u200bb@\u2060exa\u00admple.c\ufeffom'],
    ['HTML entities', '&#98;ob&#x40;example&period;com'],
    ['entities without a semicolon', 'bob&#64example.com'],
    ['entities of invisible characters', 'bo&zwj;b@exam&shy;ple.com'],
    ['letters with a decomposed mark', 'jose\u0301@example.com'],
    ['circled and mathematical letters', 'ⓑⓞⓑ@𝐞𝐱𝐚𝐦𝐩𝐥𝐞.𝐜𝐨𝐦'],
  ])('An address is found and replaced exactly in %s', (_what, address) => {
    expect(withoutPii(`Ask ${address} today`, 'EMAIL')).toBe('Ask [EMAIL] today');
  });

  /** All code points that a property has. */
  const codePoints = (property: RegExp) => {
    const found: string[] = [];
    for (let code = 0; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const character = String.fromCodePoint(code);
      if (property.test(character)) found.push(character);
    }
    return found;
  };
  const isMissed = (character: string) => {
    const address = `bob@exam${character}ple.com`;
    return withoutPii(`Ask ${address} today`, 'EMAIL') !== 'Ask [EMAIL] today';
  };

  test.each<[string, RegExp, number]>([
    ['invisible character', /\p{Default_Ignorable_Code_Point}/u, 4_000],
    ['format character', /\p{Cf}/u, 150],
    ['control character', /(?![\t\n\f\r\v\u0085])\p{Cc}/u, 55],
    ['mark of direction', /\p{Bidi_Control}/u, 12],
    ['variation selector', /\p{Variation_Selector}/u, 255],
    ['mark that is no part of a letter', /(?=\p{Script=Inherited})[\p{Mn}\p{Me}]/u, 500],
  ])('An address is found with every %s of Unicode within it', (_kind, property, count) => {
    const all = codePoints(property);
    expect(all.length).toBeGreaterThanOrEqual(count);
    // With "m", some marks make another letter, which an address may have as well.
    expect(all.filter(isMissed)).toEqual([]);
  });

  test('A character that joins the one before it does so in the normalised form, in every pair of Unicode', () => {
    const joining = codePoints(/./su).filter((character) => /^[\p{M}\u1160-\u11ff]/u.test(character.normalize('NFKC')));
    const bases = ['a', 'ｶ', 'ﾊ', 'カ', '\u1100', 'ㄱ', '\uffa1', '가', 'क', 'ا', 'α'];
    const spaces = (text: string) => text.replaceAll(/[\p{Zs}\u2800]/gu, ' ');
    const wrong = joining.flatMap((character) =>
      bases.flatMap((base) => {
        const whole = `${base}${character}`.normalize('NFKC');
        const expected = spaces(
          whole.replaceAll(/(?=\p{Script=Inherited})[\p{Mn}\p{Me}]|\p{Default_Ignorable_Code_Point}/gu, ''),
        );
        return normalize(base + character).text === expected ? [] : [[base, character]];
      }),
    );
    expect(joining.length).toBeGreaterThan(2_000);
    expect(wrong).toEqual([]);
    expect(normalize('ﾊﾟｽﾜｰﾄﾞ').text).toBe('パスワード');
  });

  test.each([
    ['twice', 'bob&amp;#64;example.com'],
    ['three times, by numbers', 'bob&#38;#x26;commat;example.com'],
  ])('An address is found whose sign was made an entity %s', (_times, address) => {
    expect(withoutPii(`Ask ${address} today`, 'EMAIL')).toBe('Ask [EMAIL] today');
  });

  test('A space or the end of a line of another kind is a space or the end of a line for patterns', () => {
    for (const space of codePoints(/[\p{Zs}\u2800]/u))
      expect(without(`my${space}password`, 'my password')).toBe('[REDACTED]');
    for (const end of codePoints(/[\v\u0085\p{Zl}\p{Zp}]/u))
      expect(without(`my${end}password`, 'my\\spassword')).toBe('[REDACTED]');
  });

  test('Each part of a normalised text leads back to what it was made of', () => {
    const { text, toOriginal } = normalize('x&amp;y ﬁ \u0065\u0301!');
    expect(text).toBe('x&y fi é!');
    expect(toOriginal(1, 2)).toEqual({ start: 1, end: 6 });
    expect(toOriginal(4, 5)).toEqual({ start: 8, end: 9 });
    expect(toOriginal(7, 8)).toEqual({ start: 10, end: 12 });
  });
});

describe('Patterns', () => {
  test('What a pattern finds is replaced, also in the normalised form, and overlapping findings once', () => {
    expect(without('a secret and a ｓｅｃｒｅｔ', 'secret')).toBe('a [REDACTED] and a [REDACTED]');
    expect(without('abcdef', 'bcd', 'cde')).toBe('a[REDACTED]f');
    expect(without('Tea', '(?i)tea')).toBe('[REDACTED]');
  });

  test.each<[string, string, RegExp]>([
    ['a lookahead', 'a(?=b)', /must be a pattern of RE2/],
    ['a back reference', '(a)\\1', /must be a pattern of RE2/],
    ['a bracket that is not closed', '[a', /must be a pattern of RE2/],
    ['a pattern that matches the empty text', 'x*', /must not match the empty text/],
    ['a pattern that matches its own placeholder', 'RED', /must not match \[REDACTED\]/],
    ['a pattern that is too large', '[a-z]{900}[0-9]{900}x{900}y{900}z{900}q{900}', /is too large/],
  ])('%s is refused', (_what, pattern, message) => {
    const result = compilePatterns(['fine', pattern]);
    expect(isPatternProblem(result) && result).toMatchObject({ index: 1, message: expect.stringMatching(message) });
  });

  test('A pattern that would backtrack for ever takes time in the length of the text', () => {
    expect(without(`${'a'.repeat(50_000)}!`, '(a+)+$')).toBe(`${'a'.repeat(50_000)}!`);
  });
});

describe('Patterns that take long', () => {
  const compile = (patterns: readonly string[]) => {
    const compiled = compilePatterns(patterns);
    if (isPatternProblem(compiled)) throw new Error(compiled.message);
    return compiled;
  };
  const cpuMs = (work: () => unknown) => {
    const before = process.threadCpuUsage();
    work();
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1_000;
  };

  test('A text with a match at each character, each searched to the end, takes no longer than half a second', () => {
    const text = 'a'.repeat(100_000);
    const patterns = compile(['a.*z|a', 'a.*y|a']);
    const found: { readonly start: number; readonly end: number }[] = [];
    expect(cpuMs(() => found.push(...findPatterns(text, patterns)))).toBeLessThan(1_000);
    // What was not searched has not passed.
    expect(found.at(-1)).toMatchObject({ start: 0, end: text.length, label: 'pattern 2' });
    expect(without(text, 'a.*z|a').replaceAll('[REDACTED]', '')).toBe('');
  });

  test('A pattern and a text that are both large are not searched, and flagged', () => {
    const patterns = compile(['(?:[ab]?){90}[cd]']);
    expect(findPatterns('ab'.repeat(500_000), patterns)).toMatchObject([{ start: 0, end: 1_000_000 }]);
    expect(findPatterns('ab'.repeat(50), patterns)).toEqual([]);
  });

  test('Every pattern that can be saved searches the longest message whole', () => {
    const text = 'ab a'.repeat(25_000);
    for (const pattern of ['(?i)(?:\\w+\\s?){45}!', '(?:a?){60}a{60}!', '(?:[ab]?){90}[cd]']) {
      expect(findPatterns(text, compile([pattern]))).toEqual([]);
    }
  });

  test('Patterns that take long to compile are refused before they are', () => {
    for (const pattern of ['\\pL'.repeat(300), '(?i)[B-\\x{1e000}]'.repeat(50), '(?i)[b-ﷰ]'.repeat(50), '[ab]{501}c']) {
      let result: ReturnType<typeof compilePatterns> | undefined;
      expect(cpuMs(() => (result = compilePatterns([pattern])))).toBeLessThan(100);
      expect(result).toMatchObject({ index: 0, message: expect.stringMatching(/^is too large/) });
    }
  });
});

test('Patterns are compiled once, however often their guardrails are read', () => {
  const stored = [
    { name: 'g', stages: ['INPUT'], check: { type: 'PATTERN', patterns: ['once'] }, action: 'BLOCK', mode: 'BLOCKING' },
  ].map((each) => ({ ...each, window: null, onError: 'CLOSED' }));
  const never = () => Promise.reject(new Error('No provider is asked.'));
  const model = {
    stream() {
      throw new Error('No model is asked.');
    },
  };
  const options = {
    providers: { model, moderations: { moderate: never }, timeoutMs: 1 },
    endpoint: null,
    classifiers: new Map(),
  };
  const [first, second] = [stored, stored].map((each) => planGuardrails(readGuardrails(each), options)[0]);
  expect(first?.matcher).toBeTruthy();
  expect(first?.matcher).toBe(second?.matcher);
});

describe('Arguments of a tool', () => {
  const kinds = ['EMAIL', 'CREDIT_CARD'] as const;
  const check = { type: 'PII', kinds } as const;
  const matcher = compileMatcher(check);
  const config = {
    name: 'g',
    stages: ['TOOL_INPUT'],
    check,
    action: 'REDACT',
    mode: 'BLOCKING',
    window: null,
  } as const;
  const clean = async (written: string) => {
    if (matcher === null) throw new Error('This check asks a provider.');
    const options = { stage: 'TOOL_INPUT', agentId: 'a', timeoutMs: 0, signal: new AbortController().signal } as const;
    const guards = [{ config: { ...config, onError: 'CLOSED' }, matcher, ask: null }] as const;
    return (await checkArguments(guards, written, options)).value;
  };

  test.each([
    ['{"a": "bob@example.com"}', '{"a":"[EMAIL]"}'],
    // Only the last of two is read, and the text as it was written would be stored.
    ['{"a": "bob@example.com", "a": "x"}', '{"a":"x"}'],
    ['{"b": [{"a\\u0020": "bob@example.com", "a ": 1}]}', '{"b":[{"a ":1}]}'],
    ['{"n": 4000000000000000006}', '{"n":"[CREDIT_CARD]"}'],
    ['{"a": "\\":", "b": {"a": [1, "c"]}}', '{"a": "\\":", "b": {"a": [1, "c"]}}'],
  ])('%s is passed on as %s', async (written, expected) => {
    expect(await clean(written)).toBe(expected);
  });
});
