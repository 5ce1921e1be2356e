import { randomUUID } from 'node:crypto';
import type { TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

const fields = 'id number subject body status priority category assignee createdBy';
export const createDocument = `mutation ($input: CreateTicketInput!) { createTicket(input: $input) { ${fields} } }`;
export const updateDocument = `mutation ($id: ID!, $input: UpdateTicketInput!) { updateTicket(id: $id, input: $input) {
  ${fields} history { field from to by }
} }`;
export const commentDocument = `mutation ($id: ID!, $body: String!, $isInternal: Boolean) {
  addTicketComment(ticketId: $id, body: $body, isInternal: $isInternal) { id body isInternal author }
}`;
export const readDocument = `query ($id: ID!) { ticket(id: $id) {
  ${fields} comments { body isInternal author } history { field from to by } conversation { id } project { key } createdByAgent { name }
} }`;

/** A tenant that nobody has seen before, and a way to its users. */
export function newTenant(app: TestApp) {
  const tenant = `tickets-${randomUUID().slice(0, 12)}`;
  const open = (sub: string, roles: readonly string[] = []): Promise<SocketClient> =>
    openSocketClient(app, { sub, tenant, roles });
  return { tenant, open };
}

/** Creates a ticket; has to work. */
// biome-ignore lint/suspicious/noExplicitAny: documents in tests are not generated; their answers are asserted.
export async function createTicket(user: Pick<SocketClient, 'ask'>, input: Record<string, unknown> = {}): Promise<any> {
  const { createTicket: created } = await user.ask(createDocument, {
    input: { subject: 'The printer is on fire', body: 'Since this morning.', ...input },
  });
  return created;
}

/** The code of the first error of an operation; null: there is none. */
export async function codeOf(app: TestApp, user: Pick<SocketClient, 'token'>, document: string, variables: object) {
  const { errors } = await app.query(document, { ...variables }, { token: user.token });
  return errors[0]?.extensions.code ?? null;
}
