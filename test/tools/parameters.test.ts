import { describe, expect, test } from 'vitest';
import { compileParameters } from '../../src/tools/parameters/check.ts';
import { SchemaUnsupportedError } from '../../src/tools/parameters/schema-bounds.ts';

/** A check that says what is wrong with arguments; null: they fit. */
function compile(properties: Record<string, unknown>, more: Record<string, unknown> = {}) {
  const check = compileParameters({ type: 'object', properties, ...more }, { strict: true });
  return (args: Record<string, unknown>) => {
    const checked = check(args);
    return 'error' in checked ? checked.error : null;
  };
}

describe('patterns of a JSON Schema', () => {
  test.each([
    ['^[A-Z]{2}-\\d+$', 'DE-17', 'de-17'],
    ['colou?r', 'the colours', 'the colums'],
    ['^\\p{Lu}\\p{Ll}+$', 'Österreich', 'österreich'],
    ['^\\u{1F600}$', '😀', 'a'],
    ['^(?<year>\\d{4})-\\d\\d$', '2026-11', '26-11'],
    ['^[^/]*$', 'a\nb', 'a/b'],
    ['^a|b$', 'ab', 'ba'],
  ])('The pattern %s is enforced', (pattern, fits, not) => {
    const check = compile({ a: { type: 'string', pattern } });
    expect(check({ a: fits })).toBeNull();
    expect(check({ a: not })).toContain('arguments.a must match pattern');
  });

  test('Each pattern is enforced as itself, however many there are', () => {
    const check = compile(
      { a: { pattern: '^a$' }, b: { pattern: '^b$' } },
      { patternProperties: { '^x-': { type: 'integer' } } },
    );
    expect(check({ a: 'a', b: 'b', 'x-1': 1 })).toBeNull();
    expect(check({ a: 'b', b: 'a' })).toMatch(/arguments\.a must match.*/);
    expect(check({ a: 'a', b: 'a' })).toContain('arguments.b must match pattern "^b$"');
    expect(check({ 'x-1': 'one' })).toContain('must be integer');
  });

  test('Patterns with lookaround or back references accept every text', () => {
    const check = compile({ a: { pattern: '^(?=.*\\d)(?=.*[a-z]).+$' }, b: { pattern: '^(a)\\1$' } });
    expect(check({ a: 'letters', b: 'ab' })).toBeNull();
    expect(check({ a: 1, b: 'ab' })).toBeNull();
  });

  test('Patterns that are invalid are refused', () => {
    expect(() => compile({ a: { pattern: '(' } })).toThrow(SchemaUnsupportedError);
    expect(() => compile({ a: { pattern: 'a**' } })).toThrow(SchemaUnsupportedError);
  });

  test('Patterns that are too large together are refused, and those after them are not', () => {
    const large = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`p${n}`, { pattern: `(?:[a-e]?${n}){900}` }]),
    );
    expect(() => compile(large)).toThrow('must have shorter patterns, or fewer');
    expect(compile({ p0: { pattern: '(?:[a-e]?0){900}' } })({ p0: 'x' })).toContain('must match');
  });

  test('Patterns are not matched with texts that would take long', () => {
    const check = compile({ a: { type: 'array', items: { pattern: '^(?:[a-c]?[b-e]?[a-j]?){300}$' } } });
    expect(check({ a: ['abcde'] })).toBeNull();
    expect(check({ a: ['x'.repeat(60_000)] })).toContain('too large to be checked');
    expect(check({ a: Array.from({ length: 60 }, () => 'abcde'.repeat(150)) })).toContain('too large to be checked');
    // What was spent on one check is not missing to the next.
    expect(check({ a: ['abcde'] })).toBeNull();
  });
});

describe('uniqueItems', () => {
  const check = compile({ a: { type: 'array', uniqueItems: true }, b: { type: 'array', uniqueItems: false } });

  test.each([
    [[1, 1]],
    [['a', 'b', 'a']],
    [
      [
        { a: 1, b: [{ c: 1, d: 2 }] },
        { b: [{ d: 2, c: 1 }], a: 1 },
      ],
    ],
    [[null, null]],
  ])('uniqueItems refuses %j', (a) => {
    expect(check({ a })).toBe('The arguments do not fit the schema. arguments.a must not have the same item twice.');
    expect(check({ b: a })).toBeNull();
  });

  test.each([
    [[1, '1', true, 'true', null, 'null']],
    [[{ a: 1 }, { a: 2 }, { b: 1 }, [1], [[1]]]],
    [
      [
        [1, 2],
        [2, 1],
      ],
    ],
    [[]],
  ])('uniqueItems accepts %j', (a) => {
    expect(check({ a })).toBeNull();
  });

  test('uniqueItems accepts as many items as a call can have', () => {
    expect(check({ a: Array.from({ length: 20_000 }, (_, n) => n) })).toBeNull();
    expect(check({ a: [...Array.from({ length: 20_000 }, (_, n) => n), 7] })).toContain('twice');
  });
});

test('Schemas are compiled anew and anew without piling up', () => {
  for (let n = 0; n < 1_200; n++) {
    const check = compile({ a: { type: 'string', pattern: `^${n}$`, enum: [`${n}`, 'other'] } });
    expect(check({ a: `${n}` })).toBeNull();
    expect(check({ a: 'other' })).toContain('must match pattern');
  }
});

test('JSON that was written as text is taken as the object that it is, unless a number in it would be rounded', () => {
  const check = compileParameters(
    { type: 'object', properties: { order: { type: 'object', properties: { id: { type: 'integer' } } } } },
    { strict: true },
  );
  expect(check({ order: '{"id":1042}' })).toMatchObject({ args: { order: { id: 1042 } } });
  expect(check({ order: '{"id":12345678901234567890}' })).toMatchObject({
    error: expect.stringContaining('arguments.order must be object'),
  });
});
