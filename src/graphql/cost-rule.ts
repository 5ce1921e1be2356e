import { createComplexityRule } from '@pothos/plugin-complexity';
import type { ExecutionArgs, GraphQLError, ValidationRule } from 'graphql';

/**
 * A rule that computes the cost of an operation from its document and variables, as the fields of the schema declare it.
 * @param judge returns the error for a cost that is too high, else null
 */
export function createCostRule(
  { variableValues, operationName }: Pick<ExecutionArgs, 'variableValues' | 'operationName'>,
  judge: (cost: number) => GraphQLError | null,
): ValidationRule {
  return createComplexityRule({
    context: {},
    variableValues: { ...variableValues },
    operationName: operationName ?? null,
    validate: ({ complexity }, report) => {
      const error = judge(complexity);
      if (error !== null) report(error);
    },
  });
}
