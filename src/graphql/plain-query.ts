import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLObjectType,
  type GraphQLSchema,
  getOperationAST,
  isNonNullType,
  isObjectType,
  Kind,
  locatedError,
  OperationTypeNode,
  visit,
} from 'graphql';
import { collectFields, collectSubfields } from 'graphql/execution/collectFields.js';
import { getArgumentValues } from 'graphql/execution/values.js';
import type { AnswerBudget } from '../limits/answer-budget.ts';
import type { Context } from './context.ts';
import { type CountText, nameOf, type SelectedField } from './projection.ts';
import { readVariables } from './variables.ts';

/** What one execution of a plain query has. */
export interface PlainExecution {
  readonly context: Context;
  /** The arguments of a field of the document, as its resolver would get them. */
  readonly argumentsOf: (parentType: string, field: SelectedField) => Readonly<Record<string, unknown>>;
}

/** What a root field has read: a function that makes its answer. It changes nothing, and may be called again. */
type ReadAnswer = (count: CountText) => Record<string, unknown>;

/**
 * Reads a root field.
 * @returns null if the executor has to do it after all
 * @throws what its resolver would throw, or a {@link FailedFieldError}
 */
type ReadRoot = (execution: PlainExecution) => Promise<ReadAnswer | null>;

/** A field below the root field has failed. It may not be null, and neither may the fields between. */
export class FailedFieldError extends Error {
  override readonly name = 'FailedFieldError';
  readonly nodes: readonly FieldNode[];
  readonly path: readonly string[];

  /** @param path the keys from the root field to the one that failed */
  constructor(path: readonly SelectedField[], cause: unknown) {
    super('A field has failed.', { cause });
    this.nodes = path.at(-1)?.nodes ?? [];
    this.path = path.map(({ key }) => key);
  }
}

const roots = new Map<string, (field: SelectedField) => ReadRoot | null>();

/**
 * Adds a field of Query that can be read without resolvers, if all that is selected of it is plain.
 * @param compile returns null if a part of the selection needs resolvers
 */
export function addPlainRoot(name: string, compile: (field: SelectedField) => ReadRoot | null): void {
  roots.set(name, compile);
}

/**
 * Executes a query that selects one root field, and of it only what its rows hold, without the executor. Its result is the
 * one that the executor would give, except for the path of the error of an answer that is too large.
 * @returns null: the executor has to do it
 */
export function executePlain(args: ExecutionArgs, context: Context): Promise<ExecutionResult | null> | null {
  const { schema, document } = args;
  const operation = context.authenticated ? getOperationAST(document, args.operationName) : null;
  const root = schema.getQueryType();
  if (!root || operation?.operation !== OperationTypeNode.QUERY) return null;
  const before = remembered.get(document)?.get(operation);
  if (before === null) return null;
  const { coerced: variables } = readVariables(args, operation);
  if (!variables) return null;
  const plan = before ?? tryCompile(schema, document, root, operation.selectionSet, variables);
  if (before === undefined && isConstant(document)) remember(document, operation, plan);
  if (plan === null) return null;
  const argumentsOf: PlainExecution['argumentsOf'] = (parentType, field) => {
    const type = schema.getType(parentType);
    const definition = isObjectType(type) ? type.getFields()[nameOf(field)] : undefined;
    if (!definition) throw new Error(`${parentType} has no field ${nameOf(field)}.`);
    return getArgumentValues(definition, field.node, variables);
  };
  return execute(plan, { context, argumentsOf });
}

interface Plan {
  readonly field: SelectedField;
  readonly isNullable: boolean;
  readonly read: ReadRoot;
}

/** Plans of documents without directives, as long as the parser’s cache holds them: null, the executor is needed. */
const remembered = new WeakMap<DocumentNode, Map<object, Plan | null>>();

function remember(document: DocumentNode, operation: object, plan: Plan | null): void {
  const known = remembered.get(document) ?? new Map<object, Plan | null>();
  remembered.set(document, known.set(operation, plan));
}

const constant = new WeakMap<DocumentNode, boolean>();

/** Whether a document selects the same fields whatever its variables are. */
function isConstant(document: DocumentNode): boolean {
  let is = constant.get(document);
  if (is === undefined) {
    is = true;
    visit(document, {
      Directive: () => {
        is = false;
      },
    });
    constant.set(document, is);
  }
  return is;
}

/** Leaves what cannot be compiled, such as a directive whose variable is null, to the executor: it reports the error. */
function tryCompile(...args: Parameters<typeof compile>): Plan | null {
  try {
    return compile(...args);
  } catch (error) {
    if (error instanceof GraphQLError) return null;
    throw error;
  }
}

function compile(
  schema: GraphQLSchema,
  document: DocumentNode,
  root: GraphQLObjectType,
  selectionSet: Parameters<typeof collectFields>[4],
  variables: Record<string, unknown>,
): Plan | null {
  const fragments: Record<string, FragmentDefinitionNode> = Object.fromEntries(
    document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node]] : [])),
  );
  const toFields = (collected: ReadonlyMap<string, readonly FieldNode[]>): SelectedField[] =>
    [...collected].flatMap(([key, nodes]) => {
      const [node] = nodes;
      if (!node) return [];
      const select = (typeName: string) => {
        const type = schema.getType(typeName);
        if (!isObjectType(type)) throw new Error(`${typeName} is not an object type.`);
        return toFields(collectSubfields(schema, fragments, variables, type, nodes));
      };
      return [{ key, node, nodes, select }];
    });
  const [field, ...others] = toFields(collectFields(schema, fragments, variables, root, selectionSet));
  if (!field || others.length > 0 || field.key === '__proto__') return null;
  const definition = root.getFields()[nameOf(field)];
  const read = roots.get(nameOf(field))?.(field);
  return definition && read ? { field, isNullable: !isNonNullType(definition.type), read } : null;
}

async function execute({ field, isNullable, read }: Plan, execution: PlainExecution): Promise<ExecutionResult | null> {
  try {
    const answer = await read(execution);
    if (answer === null) return null;
    return { data: { [field.key]: project(answer, execution.context.answer) } };
  } catch (error) {
    const data = isNullable ? { [field.key]: null } : null;
    return { errors: [locate(error, field)], data };
  }
}

function locate(error: unknown, field: SelectedField): GraphQLError {
  return error instanceof FailedFieldError
    ? locatedError(error.cause, error.nodes, error.path)
    : locatedError(error, field.nodes, [field.key]);
}

/** A code unit takes six bytes in JSON at most, and its quotes two. */
const bytesPerUnit = 6;
const quotes = 2;

function project(answer: ReadAnswer, budget: AnswerBudget): Record<string, unknown> {
  let atMost = 0;
  const data = answer((text) => {
    atMost += text.length * bytesPerUnit + quotes;
    return text;
  });
  if (budget.tryCount(atMost)) return data;
  // It may be too large: so it is counted exactly.
  return answer((text) => {
    budget.count(Buffer.byteLength(JSON.stringify(text)));
    return text;
  });
}
