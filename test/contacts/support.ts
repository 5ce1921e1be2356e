import { expect } from 'vitest';
import type { Graph, TestViewer } from '../support/app.ts';

/** What the tests read of a contact. */
export const shown = 'id name email phone notes fields';

/** Creates a contact, which has to work. */
export async function createContact(graph: Graph, viewer: TestViewer, input: Record<string, unknown>) {
  const document = `mutation ($input: ContactInput!) { createContact(input: $input) { ${shown} } }`;
  const { data, errors } = await graph.query(viewer, document, { input });
  expect(errors).toEqual([]);
  return data.createContact;
}

/** Reads a contact, which has to work. */
export async function readContact(graph: Graph, viewer: TestViewer, id: string) {
  const { data, errors } = await graph.query(viewer, `query ($id: ID!) { contact(id: $id) { ${shown} } }`, { id });
  expect(errors).toEqual([]);
  return data.contact;
}

/** Creates a conversation with a contact. @returns its id */
export async function createConversationWith(graph: Graph, viewer: TestViewer, contactId: string): Promise<string> {
  const created = await graph.query(viewer, 'mutation { createConversation { id } }');
  const { id } = created.data.createConversation;
  const update = `mutation ($id: ID!, $input: UpdateConversationInput!) { updateConversation(id: $id, input: $input) { contact { id } } }`;
  const { data, errors } = await graph.query(viewer, update, { id, input: { contactId } });
  expect(errors).toEqual([]);
  expect(data.updateConversation.contact.id).toBeDefined();
  return id;
}
