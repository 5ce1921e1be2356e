import {
  BREAK,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  visit,
} from 'graphql';
import { getVariableValues } from 'graphql/execution/values.js';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';
import type { Plugin } from 'graphql-yoga';

/** A document is compiled when it is executed for the third time: most that come once never come again. */
const executionsBefore = 2;
/** A longer document is not compiled: that would take longer than to execute it. In characters. */
const maxLength = 5_000;

type Execute = (args: ExecutionArgs) => Promise<ExecutionResult> | ExecutionResult;

interface KnownOperation {
  executions: number;
  /** Null: it cannot be compiled. */
  compiled?: CompiledQuery | null;
}

/**
 * Executes documents that come again and again by functions that are compiled from them: a third of what graphql-js takes.
 * The operations are known as long as the parser's cache holds their documents, which is bounded.
 */
export function useCompiledDocuments(): Plugin {
  const known = new WeakMap<DocumentNode, Map<string | null, KnownOperation>>();
  return {
    onExecute({ args, setExecuteFn }) {
      const operations = known.get(args.document) ?? new Map<string | null, KnownOperation>();
      known.set(args.document, operations);
      const name = args.operationName ?? null;
      const operation = operations.get(name) ?? { executions: 0 };
      operations.set(name, operation);
      if (operation.executions < executionsBefore) {
        operation.executions += 1;
        return;
      }
      operation.compiled ??= compile(args);
      const { compiled } = operation;
      if (compiled !== null && hasValidVariables(args)) setExecuteFn(executeWith(compiled));
    },
  };
}

function executeWith({ query }: CompiledQuery): Execute {
  return async ({ rootValue, contextValue, variableValues, document }) => {
    const result = await query(rootValue, contextValue, variableValues ?? {});
    if (!result.errors) return result;
    return { ...result, errors: result.errors.map((error) => locateIn(document, error)) };
  };
}

/** The errors of graphql-jit have lines and columns only, and those of graphql-js positions as well. */
function locateIn({ loc }: DocumentNode, { message, locations, path, originalError, extensions }: GraphQLError) {
  const source = loc?.source ?? null;
  const lines = source?.body.split(/(?<=\r\n|\n|\r(?!\n))/) ?? [];
  const startOf = (line: number) => lines.slice(0, line - 1).reduce((sum, { length }) => sum + length, 0);
  const positions = source && (locations ?? []).map(({ line, column }) => startOf(line) + column - 1);
  return new GraphQLError(message, {
    source,
    positions,
    ...(path ? { path } : {}),
    ...(originalError ? { originalError } : {}),
    extensions,
  });
}

/** @returns null if it is too long, has texts in it, or if the compiler does not know something in it */
function compile({ schema, document, operationName }: ExecutionArgs): CompiledQuery | null {
  if ((document.loc?.end ?? Number.POSITIVE_INFINITY) > maxLength || hasTexts(document)) return null;
  try {
    const compiled = compileQuery(schema, document, operationName ?? undefined);
    return isCompiledQuery(compiled) ? compiled : null;
  } catch {
    return null;
  }
}

/**
 * Whether a document has values in it that could be more than a number, a boolean, an enum value, null or a variable. The
 * compiler writes values into the code of the function, and graphql-jit 0.8.9 takes what follows a certain word in a text
 * for code: such a document is never compiled. (Names are safe: they consist of letters, digits and underscores.)
 */
function hasTexts(document: DocumentNode): boolean {
  let found = false;
  const stop = () => {
    found = true;
    return BREAK;
  };
  visit(document, { StringValue: stop, ObjectValue: stop, ListValue: stop });
  return found;
}

/** With wrong variables the executor is asked, so that the errors are always its own. */
function hasValidVariables({ schema, document, operationName, variableValues }: ExecutionArgs): boolean {
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? [];
  return definitions.length === 0 || !getVariableValues(schema, definitions, variableValues ?? {}).errors;
}
