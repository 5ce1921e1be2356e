import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

const app = shareApp();
/** Not one of a type: with an error for each, they take minutes and gigabytes. */
const unknownFields = Object.fromEntries(Array.from({ length: 15_000 }, (_, index) => [`unknown${index}`, index]));

describe('Wrong variables', () => {
  test.each([
    [
      'a query that is answered without resolvers',
      'query ($o: ConversationOrder) { conversations(orderBy: $o) { totalCount } }',
    ],
    [
      'another query',
      'query ($o: ConversationOrder) { conversations(orderBy: $o) { edges { node { activeAgent { id } } } } }',
    ],
    ['a mutation', 'mutation ($o: CreateConversationInput) { createConversation(input: $o) { id } }'],
    ['a subscription', 'subscription ($o: ChatTurnInput!) { chatTurn(input: $o) { seq } }'],
  ])('Thousands of wrong values in the variables of %s are refused after a few', async (_name, document) => {
    const { errors, status } = await app.query(document, { o: unknownFields });
    expect(status).toBe(400);
    expect(errors.length).toBeLessThan(10);
    for (const { extensions } of errors) expect(extensions.code).toBe('BAD_USER_INPUT');
    expect(errors.at(-1)?.message).toMatch(/^Too many errors/);
  });
});
