import { randomUUID } from 'node:crypto';
import type { TestApp } from '../support/app.ts';
import type { SocketClient } from '../support/chat.ts';

const create = `mutation ($input: CreateTicketInput!) { createTicket(input: $input) { id } }`;
const update = `mutation ($id: ID!, $input: UpdateTicketInput!) { updateTicket(id: $id, input: $input) { id } }`;
const comment = `mutation ($id: ID!, $body: String!) { addTicketComment(ticketId: $id, body: $body) { id } }`;

/** A webhook of a tenant whose deliveries wait: somebody else has claimed it. */
export async function holdWebhook({ app }: TestApp, tenantId: string): Promise<void> {
  await app.db.webhook.create({
    data: {
      tenantId,
      url: 'https://example.com/',
      events: ['TICKET_CREATED', 'TICKET_UPDATED', 'TICKET_COMMENTED', 'RUN_ENDED'],
      leaseOwner: randomUUID(),
      leaseExpiresAt: new Date(Date.now() + 3_600_000),
    },
  });
}

/** Creates a ticket, changes it and comments on it, with a marker in every text. @returns its id */
export async function openTicket(
  { ask }: Pick<SocketClient, 'ask'>,
  { marker, ...links }: { readonly marker: string; readonly [link: string]: string },
): Promise<string> {
  const texts = { subject: marker, body: marker, category: marker, idempotencyKey: marker };
  const { id } = (await ask(create, { input: { ...texts, ...links } })).createTicket;
  await ask(comment, { id, body: marker });
  await ask(update, { id, input: { subject: `Now ${marker}`, status: 'PENDING' } });
  return id;
}

/** How many rows of a table hold a marker. */
export async function countMarked({ app }: TestApp, table: string, marker: string): Promise<number> {
  const rows = await app.db.$queryRawUnsafe<{ count: number }[]>(
    `SELECT count(*)::int AS count FROM "${table}" AS t WHERE strpos(t::text, $1) > 0`,
    marker,
  );
  return rows[0]?.count ?? 0;
}
