import { describe, expect, test } from 'vitest';
import { nameForModels } from '../../src/tools/parameters/property-names.ts';
import { SchemaUnsupportedError } from '../../src/tools/parameters/schema-bounds.ts';
import { type Dialect, writeSchemaForModels } from '../../src/tools/parameters/schema-for-models.ts';

type Schema = Record<string, unknown>;
const write = (schema: Schema, dialect: Dialect = 'json-schema') => writeSchemaForModels(schema, dialect);
const property = (schema: unknown, dialect: Dialect = 'json-schema', more: Schema = {}) =>
  write({ type: 'object', properties: { a: schema }, ...more }, dialect).properties;
const required = { required: ['a'] };

describe('A property that some providers refuse is offered in a form that they take', () => {
  test.each<[string, unknown, unknown, unknown]>([
    [
      'an array without items',
      { type: 'array' },
      { type: 'array', items: {} },
      { type: 'array', items: { type: 'string' } },
    ],
    [
      'no type, with properties',
      { properties: { b: { type: 'string' } } },
      { type: 'object', properties: { b: { type: 'string' } } },
      { type: 'object', properties: { b: { type: 'string' } } },
    ],
    [
      'no type, with an enum',
      { enum: ['x', 'y'] },
      { type: 'string', enum: ['x', 'y'] },
      { type: 'string', enum: ['x', 'y'] },
    ],
    ['const', { const: 7 }, { type: 'integer', enum: [7] }, { type: 'integer', description: 'One of [7].' }],
    ['anyOf with null', { anyOf: [{ type: 'string' }, { type: 'null' }] }, { type: 'string' }, { type: 'string' }],
    [
      'a list of types with null',
      { type: ['integer', 'null'], default: null },
      { type: 'integer' },
      { type: 'integer' },
    ],
    [
      'oneOf',
      { oneOf: [{ type: 'string' }, { type: 'integer' }] },
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
    ],
    [
      'an unknown format',
      { type: 'string', format: 'uri', description: 'Where.' },
      { type: 'string', description: 'Where. Format: uri.' },
      { type: 'string', description: 'Where. Format: uri.' },
    ],
    [
      'an exclusive bound of an integer',
      { type: 'integer', exclusiveMinimum: 0 },
      { type: 'integer', minimum: 1 },
      { type: 'integer', minimum: 1 },
    ],
    [
      'an exclusive bound of draft 4',
      { type: 'number', minimum: 0, exclusiveMinimum: true },
      { type: 'number', exclusiveMinimum: 0 },
      { type: 'number', minimum: 0 },
    ],
    [
      'a tuple',
      { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }] },
      { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'integer' }] } },
      { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'integer' }] } },
    ],
    [
      'a pattern with lookahead',
      { type: 'string', pattern: '^(?=a).*$' },
      { type: 'string', description: 'Pattern: ^(?=a).*$' },
      { type: 'string', description: 'Pattern: ^(?=a).*$' },
    ],
    ['true', true, {}, {}],
    ['keywords with $', { type: 'string', $comment: 'x', $id: 'y' }, { type: 'string' }, { type: 'string' }],
    [
      'allOf',
      {
        allOf: [
          { type: 'object', properties: { b: { type: 'string' } }, required: ['b'] },
          { properties: { c: { type: 'boolean' } } },
        ],
      },
      { type: 'object', properties: { b: { type: 'string' }, c: { type: 'boolean' } }, required: ['b'] },
      { type: 'object', properties: { b: { type: 'string' }, c: { type: 'boolean' } }, required: ['b'] },
    ],
  ])('A schema is offered in a form that providers take: %s', (_what, schema, general, openapi) => {
    expect(property(schema)).toEqual({ a: general });
    expect(property(schema, 'openapi')).toEqual({ a: openapi });
  });

  test('The null of a required property stays allowed', () => {
    const optional = { anyOf: [{ type: 'string', enum: ['x'] }, { type: 'null' }] };
    expect(property(optional, 'json-schema', required)).toEqual({ a: { type: ['string', 'null'], enum: ['x', null] } });
    expect(property(optional, 'openapi', required)).toEqual({ a: { type: 'string', enum: ['x'], nullable: true } });
  });

  test('References are written out, and those that lead back to themselves end', () => {
    const $defs = {
      node: { type: 'object', properties: { next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } } },
    };
    const { $schema: _dialect, ...schema } = write({
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { a: { $ref: '#/$defs/node' } },
      $defs,
    });
    expect(schema).toEqual({
      type: 'object',
      properties: {
        a: {
          type: 'object',
          properties: { next: { description: 'Nested like the value that holds it.' } },
        },
      },
    });
    expect(JSON.stringify(schema)).not.toMatch(/\$/);
  });
});

test.each(['#/nowhere', 'https://example.com/schema.json', '#anchor'])(
  'A reference to %s, which is not in the schema, is offered as a value of any kind',
  (reference) => {
    expect(property({ $ref: reference, description: 'The order.' })).toEqual({ a: { description: 'The order.' } });
  },
);

describe('The root is always an object without alternatives', () => {
  test.each<[string, Schema]>([
    ['{}', {}],
    ['$schema only', { $schema: 'x' }],
    ['without properties', { type: 'object' }],
    ['of a list of types', { type: ['object', 'null'] }],
  ])('A schema that is %s', (_what, schema) => {
    expect(write(schema)).toEqual({ type: 'object', properties: {} });
  });

  test('Alternatives at the root are offered together', () => {
    const branch = (name: string) => ({ properties: { [name]: { type: 'string' }, id: { type: 'integer' } } });
    const anyOf = [
      { ...branch('a'), required: ['id', 'a'] },
      { ...branch('b'), required: ['id'] },
    ];
    expect(write({ description: 'Finds.', anyOf, additionalProperties: false })).toEqual({
      description: 'Finds.',
      type: 'object',
      properties: { a: { type: 'string' }, id: { type: 'integer' }, b: { type: 'string' } },
      required: ['id'],
      additionalProperties: false,
    });
  });

  test.each<[string, Schema, RegExp]>([
    ['of a text', { type: 'string' }, /"type": "object"/],
    ['of thousands of parts', { type: 'object', properties: wide(6_000) }, /at most/],
    ['that doubles with each reference', doubling(30), /at most|deeper/],
  ])('A schema %s cannot be offered', (_what, schema, why) => {
    expect(() => write(schema)).toThrow(SchemaUnsupportedError);
    expect(() => write(schema)).toThrow(why);
  });
});

function wide(count: number): Schema {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, { type: 'string' }]));
}

function doubling(levels: number): Schema {
  const $defs = Object.fromEntries(
    Array.from({ length: levels }, (_, n) => [
      `d${n}`,
      { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] },
    ]),
  );
  return { type: 'object', properties: { a: { $ref: '#/$defs/d0' } }, $defs: { ...$defs, [`d${levels}`]: {} } };
}

test('Properties have names that providers take, each its own, also when they are required', () => {
  const names = ['$filter', '%filter', 'x'.repeat(65), '1st', 'é', 'fine-name.x_1'];
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  const schema = write({ type: 'object', properties, required: ['$filter'] });
  const offered = Object.keys(schema.properties as object);
  expect(new Set(offered).size).toBe(names.length);
  expect(offered.every((name) => /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(name))).toBe(true);
  expect(offered).toContain('fine-name.x_1');
  expect(schema.required).toEqual([nameForModels('$filter')]);
});
