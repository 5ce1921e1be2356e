import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST, Kind, validate } from 'graphql';
import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import { QueryTooComplexError } from '../../api/errors.ts';
import { createCostRule } from '../../graphql/cost-rule.ts';
import { maxCost } from '../../graphql/max-cost.ts';
import { readVariables } from '../../graphql/variables.ts';
import type { RequestContext } from '../operation/request-context.ts';

/**
 * Limits the cost of an operation, as Pothos computes it from the document and the variables. A client that sends
 * `extensions: {"cost": true}` gets the cost and the limit with its answer.
 * The check runs just before the operation does, not in resolvers: there, the source of a subscription would have been
 * started already. It is no validation rule either, because results of validation are cached per document.
 */
export function useCostLimit(): Plugin<RequestContext> {
  return {
    onExecute({ args, setResultAndStopExecution }) {
      const { cost, errors } = measure(args);
      if (errors.length > 0) return setResultAndStopExecution({ errors });
      if (args.contextValue.params?.extensions?.cost !== true) return;
      return {
        onExecuteDone({ result, setResult }) {
          if (isAsyncIterable(result)) return;
          setResult({ ...result, extensions: { ...result.extensions, cost: { cost, limit: maxCost } } });
        },
      };
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const { errors } = measure(args);
      if (errors.length > 0) setResultAndStopExecution({ errors });
    },
  };
}

interface Measured {
  readonly cost: number;
  readonly errors: readonly GraphQLError[];
}

/** Costs that are remembered of one document: of its operations, and of the variables that a cost can depend on. */
const maxRemembered = 50;
/** In characters: a longer list of variables is measured each time. */
const maxVariables = 500;

/** Remembers what documents cost that are accepted, as long as the parser's cache holds them. */
const remembered = new WeakMap<DocumentNode, Map<string, Measured>>();

function measure(args: ExecutionArgs): Measured {
  const key = nameVariables(args);
  const known = remembered.get(args.document) ?? new Map<string, Measured>();
  const before = known.get(key);
  if (before !== undefined) return before;
  const measured = isIntrospection(args.document, args.operationName) ? { cost: 0, errors: [] } : compute(args);
  if (measured.errors.length > 0 || key.length > maxVariables || known.size >= maxRemembered) return measured;
  remembered.set(args.document, known.set(key, measured));
  return measured;
}

/** How each DateTime begins: the length of a range can cost something. */
const moment = /^\d{4}-\d\d-\d\dT/;

/** The operation and its variables, without texts that stand for themselves: what they say changes no cost. */
function nameVariables({ document, operationName, variableValues }: ExecutionArgs): string {
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? [];
  if (definitions.length === 0) return operationName ?? '';
  // By name, because one that is absent has its default, and one that is null has none.
  const values = Object.fromEntries(
    definitions.map(({ variable }) => [variable.name.value, variableValues?.[variable.name.value]]),
  );
  const shape = JSON.stringify(values, (_key, value: unknown) =>
    typeof value === 'string' && !moment.test(value) ? '' : value,
  );
  return `${operationName ?? ''} ${shape}`;
}

function compute(args: ExecutionArgs): Measured {
  const operation = getOperationAST(args.document, args.operationName);
  // The executor says that there is none, or which ones there are.
  if (!operation) return { cost: 0, errors: [] };
  // The rule below reports each wrong value of the variables, in any number.
  const { errors: wrong = [] } = readVariables(args, operation);
  if (wrong.length > 0) return { cost: 0, errors: wrong };
  let measured = 0;
  const rule = createCostRule(args, (cost) => {
    measured = cost;
    if (cost <= maxCost) return null;
    const originalError = new QueryTooComplexError(
      `The operation costs ${cost}; ${maxCost} is the limit. Ask for smaller pages or fewer fields.`,
      { cost, limit: maxCost },
    );
    return new GraphQLError(originalError.message, { originalError });
  });
  const errors = validate(args.schema, args.document, [rule]);
  return { cost: measured, errors };
}

/** Whether it selects fields of introspection only. They have a limit of their own (introspection-limit.ts). */
export function isIntrospection(document: DocumentNode, operationName: string | null | undefined): boolean {
  const selections = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  return selections.every((selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'));
}
