import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { edgeSchema } from './edge-schema.ts';

let edge: TestApp;
beforeAll(async () => {
  edge = await startTestApp({ schema: edgeSchema });
});
afterAll(() => edge[Symbol.asyncDispose]());

/** How often each document comes: what is remembered of it, such as its parsed form and its cost, is used from the second time on. */
const times = 5;

/** The answers to a document that comes again and again, without what differs in each request. */
async function repeat(query: string, variables?: Record<string, unknown>) {
  const answers: unknown[] = [];
  for (let time = 0; time < times; time++) {
    const { status, data, errors } = await edge.query(query, variables);
    answers.push(
      JSON.parse(JSON.stringify({ status, data, errors }).replaceAll(/"requestId":"[^"]+"/g, '"requestId":""')),
    );
  }
  return answers;
}

describe('a document that comes again and again', () => {
  test.each([
    ['values', '{ user, me: user, __typename }', {}],
    ['a variable', 'query ($text: String) { echo(text: $text) }', { text: 'Ünï "quoted"\n' }],
    ['a variable that is absent', 'query ($text: String) { echo(text: $text) }', {}],
    ['a default', 'query ($count: Int = 3) { echo(count: $count) }', {}],
    ['directives', 'query ($no: Boolean!) { user @skip(if: $no) me: user @include(if: $no) }', { no: true }],
    ['fragments', 'query { ...A ...A } fragment A on Query { user ... on Query { me: user } }', {}],
    ['an error of ours', '{ user\n  missing }', {}],
    ['a masked error', 'query\r\n{ user\r\n boom }', {}],
    ['a value of a wrong type', '{ user wrongType }', {}],
    ['null where there may be none', '{ user neverNull }', {}],
    ['an object of a wrong type', '{ user wrongShape { name } }', {}],
    ['a wrong variable', 'query ($text: String) { echo(text: $text) }', { text: 5 }],
    ['a missing variable', 'query ($text: String!) { echo(text: $text) }', {}],
  ])('It gets the same answer each time: %s', async (_what, query, variables) => {
    const [first, ...others] = await repeat(query, variables);
    for (const other of others) expect(other).toEqual(first);
  });
});
