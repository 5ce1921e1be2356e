import { existsSync, readFileSync } from 'node:fs';
import {
  type DefinitionNode,
  type GraphQLField,
  type GraphQLInputField,
  type InputValueDefinitionNode,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  isUnionType,
  Kind,
  parse,
  print,
  valueFromAST,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';

/**
 * What stands in the contract and comes with a later issue. An element that exists must leave this list. A name of a
 * type stands for all that is in it.
 */
const pending = new Set<string>();

/** What the contract of the next issues replaces in the first one, or the issue of its section, and with what. */
const replaced = new Set([
  // An interface, and no union.
  'ConversationEvent',
  // Null: the conversation was deleted.
  'Run.conversation',
  // Left out where an answer is made again.
  'ChatTurnInput.content',
  // The id of a call is enough.
  'Mutation.approveToolCall(runId)',
  // ScenarioHandoff: Relay takes types that end with Edge for edges of connections.
  'HandoffEdge',
  'ScenarioAgent.handoffs',
  // Typed guardrails in place of JSON.
  'Scenario.guardrails',
  'ScenarioInput.guardrails',
  'RealtimeSession.guardrails',
  // MessageToolCallInput in place of JSON.
  'CreateMessageInput.toolCalls',
]);

/** The sections of the contract of the next issues that are not due yet. One of which everything exists must leave this list. */
const pendingSections = new Set<string>();
/** What is pending in the sections that are due. Of which everything exists must leave this list. */
const pendingNext = new Set<string>();

const contractFile = new URL('./contract.graphql', import.meta.url);
const nextFile = new URL('./contract-next.graphql', import.meta.url);
const sharedFile = new URL('../../../shared/contract.graphql', import.meta.url);
const sharedNextFile = new URL('../../../shared/contract-next.graphql', import.meta.url);

/** One promise of the contract: where it stands, and what the schema has there (undefined: nothing). */
interface Promised {
  readonly at: string;
  readonly wanted: string;
  readonly found: string | undefined;
}

const promises = parse(readFileSync(contractFile, 'utf8')).definitions.flatMap(listPromises);
const nextSections = readFileSync(nextFile, 'utf8')
  .split(/^# ── /m)
  .slice(1)
  .map((section) => {
    const [title = ''] = section.split(/ ─+\n/, 1);
    return { title, promises: parse(`# ${section}`).definitions.flatMap(listPromises) };
  });

describe('the contract', () => {
  test.runIf(existsSync(sharedFile))('The copy of the contract equals the contract', () => {
    expect(readFileSync(contractFile, 'utf8')).toBe(readFileSync(sharedFile, 'utf8'));
    expect(readFileSync(nextFile, 'utf8')).toBe(readFileSync(sharedNextFile, 'utf8'));
  });

  test('The schema has what the contract of the next issues says, but for what is pending', () => {
    const titles = nextSections.map(({ title }) => title);
    expect(titles.filter((title) => pendingSections.has(title))).toEqual([...pendingSections]);
    const unused = new Set(pendingNext);
    for (const { title, promises } of nextSections) {
      const missing = promises.filter(({ wanted, found }) => wanted !== found);
      if (pendingSections.has(title)) expect(missing, title).not.toEqual([]);
      else expect(missing.filter(({ at }) => !isIn(pendingNext, at))).toEqual([]);
      for (const { at } of missing) for (const name of namesOf(at)) unused.delete(name);
    }
    expect([...unused]).toEqual([]);
  });

  test('The schema has every element of the contract, under its name, with its type and nullability', () => {
    expect(promises.length).toBeGreaterThan(300);
    const broken = promises.filter(({ at, wanted, found }) => !isPending(at) && wanted !== found);
    expect(broken).toEqual([]);
  });

  test('What is listed as pending is not in the schema yet, and is in the contract', () => {
    const existing = promises.filter(({ at, found }) => isPending(at) && !replaced.has(at) && found !== undefined);
    expect(existing.map(({ at }) => at)).toEqual([]);
    const known = new Set(promises.map(({ at }) => at));
    expect([...pending].filter((at) => !known.has(at))).toEqual([]);
  });

  test('Nothing that a client need not send by the contract is required', () => {
    const required: string[] = [];
    for (const type of Object.values(schema.getTypeMap())) {
      const inputs = isInputObjectType(type)
        ? Object.values(type.getFields()).map((field) => [`${type.name}.${field.name}`, field] as const)
        : isObjectType(type) && !type.name.startsWith('__')
          ? Object.values(type.getFields()).flatMap((field) =>
              field.args.map((arg) => [`${type.name}.${field.name}(${arg.name})`, arg] as const),
            )
          : [];
      for (const [at, input] of inputs) {
        if (input.type.toString().endsWith('!') && input.defaultValue === undefined) required.push(at);
      }
    }
    const promised = new Set(promises.filter(({ wanted }) => wanted.endsWith('!')).map(({ at }) => at));
    // Inputs and mutations that are not in the contract may require what they need.
    const known = new Set(promises.map(({ at }) => at));
    const isOurs = (at: string) => !known.has(at.includes('(') ? at.replace(/\(.*/, '') : at.replace(/\..*/, ''));
    expect(required.filter((at) => !promised.has(at) && !isOurs(at))).toEqual([]);
  });
});

test('Every element of the schema has a description', () => {
  const silent: string[] = [];
  const check = (at: string, element: { description?: string | null | undefined }) => {
    if (!element.description?.trim()) silent.push(at);
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__') || isSpecifiedScalarType(type)) continue;
    check(type.name, type);
    if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value);
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field);
    }
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        check(`${type.name}.${field.name}`, field);
        for (const arg of field.args) check(`${type.name}.${field.name}(${arg.name})`, arg);
      }
    }
  }
  expect(silent).toEqual([]);
});

function isPending(at: string): boolean {
  return isIn(pending, at) || isIn(replaced, at);
}

/** Whether a list names an element, its field or its type. */
function isIn(names: ReadonlySet<string>, at: string): boolean {
  return namesOf(at).some((name) => names.has(name));
}

function namesOf(at: string): string[] {
  return [at, at.replace(/\(.*/, ''), at.replace(/[.( ].*/, '')];
}

function listPromises(node: DefinitionNode): Promised[] {
  switch (node.kind) {
    case Kind.SCALAR_TYPE_DEFINITION:
      return [kindOf(node.name.value, 'scalar')];
    case Kind.ENUM_TYPE_EXTENSION:
    case Kind.ENUM_TYPE_DEFINITION: {
      const name = node.name.value;
      const type = schema.getType(name);
      const values = (node.values ?? []).map((value) => ({
        at: `${name}.${value.name.value}`,
        wanted: 'value',
        found: isEnumType(type) && type.getValue(value.name.value) ? 'value' : undefined,
      }));
      return [kindOf(name, 'enum'), ...values];
    }
    case Kind.UNION_TYPE_DEFINITION: {
      const name = node.name.value;
      const type = schema.getType(name);
      const members = isUnionType(type) ? new Set(type.getTypes().map((member) => member.name)) : new Set<string>();
      return [
        kindOf(name, 'union'),
        ...(node.types ?? []).map(({ name: { value } }) => ({
          at: `${name}.${value}`,
          wanted: 'member',
          found: members.has(value) ? 'member' : undefined,
        })),
      ];
    }
    case Kind.INPUT_OBJECT_TYPE_EXTENSION:
    case Kind.INPUT_OBJECT_TYPE_DEFINITION: {
      const type = schema.getType(node.name.value);
      const fields = isInputObjectType(type) ? type.getFields() : {};
      return [
        kindOf(node.name.value, 'input'),
        ...(node.fields ?? []).map((field) =>
          promiseOfInput(`${node.name.value}.${field.name.value}`, field, fields[field.name.value]),
        ),
      ];
    }
    case Kind.OBJECT_TYPE_EXTENSION:
    case Kind.OBJECT_TYPE_DEFINITION:
    case Kind.INTERFACE_TYPE_DEFINITION: {
      const name = node.name.value;
      const type = schema.getType(name);
      const composite = isObjectType(type) || isInterfaceType(type) ? type : undefined;
      const interfaces = new Set(composite?.getInterfaces().map((entry) => entry.name));
      const fields: Record<string, GraphQLField<unknown, unknown>> = composite?.getFields() ?? {};
      return [
        kindOf(name, node.kind === Kind.INTERFACE_TYPE_DEFINITION ? 'interface' : 'type'),
        ...(node.interfaces ?? []).map(({ name: { value } }) => ({
          at: `${name} implements ${value}`,
          wanted: 'implements',
          found: interfaces.has(value) ? 'implements' : undefined,
        })),
        ...(node.fields ?? []).flatMap((field): Promised[] => {
          const at = `${name}.${field.name.value}`;
          const there = fields[field.name.value];
          return [
            { at, wanted: print(field.type), found: there?.type.toString() },
            ...(field.arguments ?? []).map((arg) =>
              promiseOfInput(
                `${at}(${arg.name.value})`,
                arg,
                there?.args.find((candidate) => candidate.name === arg.name.value),
              ),
            ),
          ];
        }),
      ];
    }
    default:
      throw new Error(`The contract holds a ${node.kind}, which this test does not understand.`);
  }
}

function kindOf(name: string, wanted: string): Promised {
  const type = schema.getType(name);
  if (type === undefined) return { at: name, wanted, found: undefined };
  const kinds = { GraphQLScalarType: 'scalar', GraphQLEnumType: 'enum', GraphQLUnionType: 'union' };
  const found = isInputObjectType(type)
    ? 'input'
    : isInterfaceType(type)
      ? 'interface'
      : isObjectType(type)
        ? 'type'
        : kinds[type.constructor.name as keyof typeof kinds];
  return { at: name, wanted, found };
}

function promiseOfInput(
  at: string,
  node: InputValueDefinitionNode,
  there: Pick<GraphQLInputField, 'type' | 'defaultValue'> | undefined,
): Promised {
  const withDefault = (type: string, value: unknown) =>
    value === undefined ? type : `${type} = ${JSON.stringify(value)}`;
  const wanted = node.defaultValue && there ? valueFromAST(node.defaultValue, there.type) : undefined;
  return {
    at,
    wanted: withDefault(print(node.type), wanted),
    found: there && withDefault(there.type.toString(), there.defaultValue),
  };
}
