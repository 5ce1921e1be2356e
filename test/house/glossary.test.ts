import { isInterfaceType, isObjectType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';

/** The terms of the graph: where a reader finds what each means, and how the sentence begins that says it. */
const terms = [
  { term: 'turn', at: 'Run', says: 'one turn: one message of the user' },
  { term: 'step', at: 'Run', says: 'A step is one call of the model' },
  { term: 'unfinished', at: 'RunStatus', says: 'A run is unfinished while it is' },
  { term: 'queue', at: 'RunStatus.QUEUED', says: 'waits until the turns before it' },
  { term: 'terminal', at: 'RunEvent', says: 'The terminal event is the last one' },
  { term: 'active agent', at: 'Conversation.activeAgent', says: 'The active agent: ' },
  { term: 'default agent', at: 'Agent.isDefault', says: 'it answers in conversations that have neither' },
  { term: 'root agent', at: 'Scenario.rootAgent', says: 'The root agent: ' },
  { term: 'member', at: 'Scenario.agents', says: 'The members of the scenario: ' },
  { term: 'shared', at: 'Agent.isShared', says: 'it belongs to the tenant' },
  { term: 'handoff', at: 'Handoff', says: 'One agent handed the conversation over to another' },
  { term: 'scenario', at: 'Scenario', says: 'A graph of agents' },
  { term: 'viewer', at: 'Viewer', says: 'The user of the access token' },
  { term: 'tenant', at: 'Viewer.tenantId', says: 'a customer of the operator' },
  { term: 'operator', at: 'Viewer.tenantId', says: 'the operator, who runs the server' },
  { term: 'admin', at: 'Viewer.roles', says: 'An admin is a user with the role' },
] as const;

/** Terms of the server’s own code and of its operation: nobody who only uses the graph has to know them. */
const internal = [
  /\bleases?\b/i,
  /\bepochs?\b/i,
  /\bcheckpoints?\b/i,
  /\barchives?\b/i,
  /\bevent (?:log|buffer)\b/i,
  /\bdevelopment agent\b/i,
  /\b(?:the )?floor\b/i,
  /\b(?:server |whichever )instances?\b/i,
];

const descriptions = new Map<string, string>();
for (const type of Object.values(schema.getTypeMap())) {
  if (type.name.startsWith('__')) continue;
  descriptions.set(type.name, type.description ?? '');
  if ('getValues' in type)
    for (const { name, description } of type.getValues()) descriptions.set(`${type.name}.${name}`, description ?? '');
  if (!('getFields' in type)) continue;
  for (const field of Object.values(type.getFields())) {
    descriptions.set(`${type.name}.${field.name}`, field.description ?? '');
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const arg of type.getFields()[field.name]?.args ?? [])
      descriptions.set(`${type.name}.${field.name}(${arg.name})`, arg.description ?? '');
  }
}

describe('The terms in the descriptions of the schema', () => {
  test.each(terms)('The description of $at says what "$term" means.', ({ term, at, says }) => {
    const uses = [...descriptions].filter(([place, text]) => place !== at && new RegExp(`\\b${term}`, 'i').test(text));
    expect(uses.length).toBeGreaterThan(0);
    expect(descriptions.get(at)).toContain(says);
  });

  test('Terms that only the server needs do not occur.', () => {
    const found = [...descriptions].filter(([, text]) => internal.some((pattern) => pattern.test(text)));
    expect(found).toEqual([]);
  });
});
