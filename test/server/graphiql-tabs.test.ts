import { Kind, OperationTypeNode, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { otherDocuments, turnDocument } from '../../src/server/http/graphiql-tabs.ts';
import { shareApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';

const app = shareApp();

test('Every document of a tab of GraphiQL fits the schema, and its queries are answered', async () => {
  const { token } = await openNewUser(app);
  const answered: string[] = [];
  for (const text of [turnDocument, ...otherDocuments]) {
    const document = parse(text);
    expect(validate(schema, document), text).toEqual([]);
    for (const definition of document.definitions) {
      if (definition.kind !== Kind.OPERATION_DEFINITION || definition.operation !== OperationTypeNode.QUERY) continue;
      const operationName = definition.name?.value ?? '';
      const { errors } = await app.query(text, {}, { token, operationName });
      expect(errors, operationName).toEqual([]);
      answered.push(operationName);
    }
  }
  const desk = ['Tickets', 'Contacts', 'Drafts', 'Conversations'];
  expect(answered).toEqual(['SearchKnowledge', 'KnowledgeDocuments', 'Citations', ...desk]);
});
