import { createSourceEventStream, type ExecutionResult, parse, subscribe as subscribeByTheBook } from 'graphql';
import { beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { subscribe } from '../../src/server/plugins/fast-subscribe.ts';
import { shareApp } from '../support/app.ts';
import { makeTestContext } from '../support/context.ts';

const app = shareApp({ steps: [{ reasoning: ['hm', 'm'], text: ['Hel', 'lo'], delayMs: 20 }] });
let runId: string;
beforeAll(async () => {
  const created = await app.query('mutation { createConversation { id } }');
  const input = { conversationId: created.data.createConversation.id, content: 'hi', idempotencyKey: 'k' };
  const sent = await app.query('mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { id } }', { input });
  runId = sent.data.sendMessage.id;
});

function makeContext() {
  return makeTestContext(app.app, { userId: 'alice', tenantId: 'acme' });
}

async function drain(
  how: typeof subscribe | typeof subscribeByTheBook,
  document: string,
  variables: Record<string, unknown>,
): Promise<unknown[]> {
  const variableValues = { id: runId, ...variables };
  const stream = await how({ schema, document: parse(document), variableValues, contextValue: makeContext() });
  if (!(Symbol.asyncIterator in stream)) return [stream];
  const results: ExecutionResult[] = [];
  for await (const result of stream) results.push(result);
  return JSON.parse(JSON.stringify(results));
}

const all = '__typename seq runId at ... on TextDelta { messageId offset delta } ... on ReasoningDelta { delta }';

describe('the fast path', () => {
  test.each<[string, string, Record<string, unknown>?]>([
    ['every field', `subscription ($id: ID!) { runEvents(runId: $id) { ${all} } }`],
    ['nothing but the type', 'subscription ($id: ID!) { runEvents(runId: $id) { __typename } }'],
    [
      'aliases',
      'subscription ($id: ID!) { e: runEvents(runId: $id) { a: seq b: seq t: __typename ... on TextDelta { d: delta } } }',
    ],
    [
      'an alias that objects have',
      'subscription ($id: ID!) { runEvents(runId: $id) { __proto__: seq constructor: at toString: __typename } }',
    ],
    ['a root alias that objects have', 'subscription ($id: ID!) { __proto__: runEvents(runId: $id) { seq } }'],
    [
      'the same field twice',
      'subscription ($id: ID!) { runEvents(runId: $id) { seq seq ... on TextDelta { seq delta delta } } }',
    ],
    ['the root field twice', 'subscription ($id: ID!) { runEvents(runId: $id) { seq } runEvents(runId: $id) { at } }'],
    [
      'fragments',
      'subscription ($id: ID!) { runEvents(runId: $id) { ...F } } fragment F on RunEvent { seq ...G } fragment G on TextDelta { delta ... on RunEvent { at } }',
    ],
    [
      'directives',
      'subscription ($id: ID!, $i: Boolean!) { runEvents(runId: $id) { seq @skip(if: $i) ... on TextDelta @include(if: $i) { delta } ... @include(if: $i) { at } } }',
      { i: true },
    ],
    [
      'directives, the other way',
      'subscription ($id: ID!, $i: Boolean!) { runEvents(runId: $id) { seq @skip(if: $i) ... on TextDelta @include(if: $i) { delta } } }',
      { i: false },
    ],
    [
      'a directive without a value',
      'subscription ($id: ID!, $i: Boolean = false) { runEvents(runId: $id) { seq @include(if: $i) ... on TextDelta { delta } } }',
      { i: null },
    ],
    [
      'what needs the executor',
      'subscription ($id: ID!) { runEvents(runId: $id) { seq ... on RunCompleted { run { status messages { content } } } ... on MessageStarted { agent { name } } } }',
    ],
    ['only the rest', 'subscription ($id: ID!) { runEvents(runId: $id, after: 4) { seq } }'],
    [
      'a run that does not exist',
      'subscription { runEvents(runId: "run_00000000-0000-7000-8000-000000000000") { seq } }',
    ],
  ])('The fast path gives the answers of graphql-js: %s', async (_what, document, variables = {}) => {
    const expected = await drain(subscribeByTheBook, document, variables);
    expect(await drain(subscribe, document, variables)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(0);
  });

  test('Deltas go by the fast path', async () => {
    // Otherwise the rest of this suite would compare graphql-js with itself.
    const source = await createSourceEventStream({
      schema,
      document: parse('subscription ($id: ID!) { runEvents(runId: $id) { seq } }'),
      variableValues: { id: runId },
      contextValue: makeContext(),
    });
    if (!(Symbol.asyncIterator in source)) throw new Error(JSON.stringify(source));
    const types: string[] = [];
    for await (const event of source) {
      if (typeof event === 'object' && event !== null && 'type' in event) types.push(String(event.type));
    }
    expect(types).toContain('TextDelta');
    expect(types).toContain('ReasoningDelta');
  });
});
