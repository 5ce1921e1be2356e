import {
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isNonNullType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { findPrivateWords } from '../support/private-words.ts';

interface Described {
  readonly at: string;
  readonly text: string;
}

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
);
const elements = types.flatMap(listElements);
const rootArguments = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((root) =>
  Object.values(root?.getFields() ?? {}).flatMap((field) =>
    field.args.map((arg) => ({ arg, at: `${root?.name}.${field.name}(${arg.name})` })),
  ),
);

describe('the descriptions of the schema', () => {
  test('Descriptions exist for every type, field, argument, input and enum value', () => {
    expect(elements.length).toBeGreaterThan(700);
    expect(elements.filter(({ text }) => text.trim() === '').map(({ at }) => at)).toEqual([]);
  });

  test('Descriptions are sentences: they start with a capital letter or a name in backquotes, and end with a full stop', () => {
    const broken = elements.filter(({ text }) => !/^[A-Z`1-9]/.test(text) || !/[.](?:\))?$/.test(text.trim()));
    expect(broken.map(({ at, text }) => `${at}: ${text}`)).toEqual([]);
  });

  test('Descriptions do not use words of a private vocabulary', () => {
    const found = elements.flatMap(({ at, text }) => findPrivateWords(text).map((word) => `${at}: ${word}: ${text}`));
    expect(found).toEqual([]);
  });

  test('Descriptions give an example of every id that is an argument of a root field', () => {
    const ids = rootArguments.filter(({ arg }) => getNamedType(arg.type).name === 'ID' && arg.name !== 'ids');
    expect(ids.length).toBeGreaterThan(15);
    const bare = ids.filter(
      ({ arg }) => !/`[a-z]+_[^`]+`|ApprovalRequested|key of your own/.test(arg.description ?? ''),
    );
    expect(bare.map(({ at }) => at)).toEqual([]);
  });

  test('Descriptions say of every nullable field of an object when it is null', () => {
    const silent = types.flatMap((type) =>
      isObjectType(type) && !isRoot(type)
        ? Object.values(type.getFields())
            .filter((field) => !isNonNullType(field.type) && !/\bnull\b/i.test(field.description ?? ''))
            .map((field) => `${type.name}.${field.name}`)
        : [],
    );
    expect(silent).toEqual([]);
  });

  test('Descriptions name the default and the maximum of every list that is paged', () => {
    const paged = types.flatMap((type) =>
      isObjectType(type)
        ? Object.values(type.getFields())
            .filter((field) => getNamedType(field.type).name.endsWith('Connection'))
            .map((field) => ({ at: `${type.name}.${field.name}`, text: field.description ?? '' }))
        : [],
    );
    expect(paged.length).toBeGreaterThan(5);
    const silent = paged.filter(({ text }) => !/\d+ per page by default, at most \d+/.test(text));
    expect(silent.map(({ at }) => at)).toEqual([]);
  });
});

function isRoot(type: GraphQLNamedType): boolean {
  return ['Query', 'Mutation', 'Subscription'].includes(type.name);
}

function listElements(type: GraphQLNamedType): Described[] {
  const found: Described[] = [readDescription(type.name, type)];
  if (isEnumType(type)) {
    for (const value of type.getValues()) found.push(readDescription(`${type.name}.${value.name}`, value));
  }
  if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields()))
      found.push(readDescription(`${type.name}.${field.name}`, field));
  }
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      found.push(readDescription(`${type.name}.${field.name}`, field));
      for (const arg of field.args) found.push(readDescription(`${type.name}.${field.name}(${arg.name})`, arg));
    }
  }
  return found;
}

function readDescription(at: string, element: { readonly description?: string | null | undefined }): Described {
  return { at, text: element.description ?? '' };
}
