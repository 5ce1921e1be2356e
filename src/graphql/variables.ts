import type { ExecutionArgs, OperationDefinitionNode } from 'graphql';
import { getVariableValues } from 'graphql/execution/values.js';

/**
 * Wrong values of the variables of one operation that are reported. Each message of graphql-js repeats the whole object that
 * the wrong value stands in, so that an object with many unknown fields takes time and memory by the square of its size.
 */
const maxErrors = 3;

/**
 * Reads the variables of an operation, as their types have them. To be called before anything else looks at them: whoever
 * coerces them without a bound can be stopped by one request for minutes.
 * @returns the values, or the first errors
 */
export function readVariables(
  { schema, variableValues }: Pick<ExecutionArgs, 'schema' | 'variableValues'>,
  { variableDefinitions }: Pick<OperationDefinitionNode, 'variableDefinitions'>,
): ReturnType<typeof getVariableValues> {
  return getVariableValues(schema, variableDefinitions ?? [], variableValues ?? {}, { maxErrors });
}
