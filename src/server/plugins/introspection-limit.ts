import { type ExecutionResult, GraphQLError, type GraphQLSchema } from 'graphql';
import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import { QueryTooComplexError, SwitchboardError } from '../../api/errors.ts';
import { createIntrospectionCount } from '../../graphql/introspection-cost.ts';
import { createRateLimit } from '../../limits/rate-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { isIntrospection } from './cost-limit.ts';

/** The highest estimate of the objects that introspection returns. The query of GraphiQL and of code generators has 15,000. */
const maxObjects = 40_000;
/** Introspection of no more objects is free, such as that of one type. */
const freeObjects = 1_000;
/** How often a user may ask for more that is not remembered. Tools ask for the same again and again. */
const rate = { user: { points: 10, seconds: 60 }, tenant: null };
/** An answer has a quarter of a megabyte. The schema does not change, and tools send a few documents. */
const maxRemembered = 20;

/**
 * Limits introspection, whose fields have no cost of their own: by an estimate of the objects that it returns, and in how
 * often it is executed. The answers to documents that ask for nothing else are remembered, so that any number of tools can
 * read the schema.
 */
export function useIntrospectionLimit(schema: GraphQLSchema): Plugin<RequestContext, RequestContext> {
  const countObjects = createIntrospectionCount(schema);
  const limit = createRateLimit('large introspections', rate);
  const remembered = new LRUCache<string, ExecutionResult>({ max: maxRemembered });
  return {
    async onExecute({ args, setResultAndStopExecution }) {
      const { document, operationName, variableValues, contextValue } = args;
      const objects = Math.round(countObjects(document, operationName));
      if (objects <= freeObjects) return;
      const source = isIntrospection(document, operationName) ? document.loc?.source.body : undefined;
      const key = source === undefined ? null : JSON.stringify([source, operationName, variableValues]);
      const known = key === null ? undefined : remembered.get(key);
      if (known) return setResultAndStopExecution(known);
      try {
        if (objects > maxObjects) throw tooComplex(objects);
        if (contextValue.operation.viewer) await limit.take(contextValue.operation.viewer);
      } catch (originalError) {
        if (!(originalError instanceof SwitchboardError)) throw originalError;
        return setResultAndStopExecution({ errors: [new GraphQLError(originalError.message, { originalError })] });
      }
      if (key === null) return;
      return {
        onExecuteDone({ result }) {
          if (!isAsyncIterable(result) && !result.errors) remembered.set(key, result);
        },
      };
    },
  };
}

function tooComplex(objects: number): QueryTooComplexError {
  const limit = maxObjects.toLocaleString('en-US');
  return new QueryTooComplexError(
    `The introspection may return ${objects.toLocaleString('en-US')} objects; ${limit} is the limit. Ask for fewer fields, or for one type.`,
    { cost: objects, limit: maxObjects },
  );
}
