import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isIntrospectionType,
  isObjectType,
} from 'graphql';
import type { Context } from './context.ts';

/** The types whose values may have any size. */
const countedTypes: ReadonlySet<string> = new Set(['String', 'JSON']);

/**
 * Counts the texts of every answer against its budget as they are resolved, so that nothing that a document repeats, by
 * aliases or through many objects, makes an answer larger than its budget.
 * @returns the same schema
 */
export function meterAnswers(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || isIntrospectionType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      if (countedTypes.has(getNamedType(field.type).name)) meterField(field);
    }
  }
  return schema;
}

function meterField(field: GraphQLField<unknown, Context>): void {
  const resolve = field.resolve ?? defaultFieldResolver;
  field.resolve = (parent, args, context, info) => {
    const value: unknown = resolve(parent, args, context, info);
    if (!(value instanceof Promise)) return count(value, context);
    return value.then((resolved: unknown) => count(resolved, context));
  };
}

function count(value: unknown, { answer }: Context): unknown {
  answer.count(sizeOf(value));
  return value;
}

/** How many bytes a value takes in the answer. As JSON: a quote or a line break takes two there, a control character six. */
function sizeOf(value: unknown): number {
  const isCounted = typeof value === 'string' || (typeof value === 'object' && value !== null);
  return isCounted && !(value instanceof Error) ? Buffer.byteLength(JSON.stringify(value)) : 0;
}
