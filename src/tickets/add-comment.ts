import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { TicketComment } from '../generated/prisma/client.ts';
import { changeTicket, lockTicket } from './change.ts';
import { parseCommentBody } from './input.ts';
import { announce, type TicketRuntime } from './runtime.ts';
import { tellWebhooks } from './webhook-body.ts';

/** Comments of one ticket. */
const maxComments = 1_000;

/**
 * Adds a comment to a ticket. One of the contact reopens a ticket that is SOLVED, in the same transaction.
 * @param input.ticketId the public id
 * @throws {BadUserInputError} naming the argument; {@link NotFoundError} {@link ForbiddenError} for the ticket, and for a VIEWER
 *   of its project; {@link ConflictError} if it has as many as it may have
 */
export async function addTicketComment(
  viewer: Viewer,
  runtime: TicketRuntime,
  input: { readonly ticketId: string; readonly body: string; readonly isInternal: boolean },
): Promise<TicketComment> {
  const row = parseId('Ticket', input.ticketId, ['ticketId']);
  const body = parseCommentBody(input.body);
  const { isInternal } = input;
  const { tenantId, userId } = viewer;
  const comment = await runtime.db.$transaction(async (tx) => {
    const before = await lockTicket(viewer, tx, input.ticketId, row);
    if (before.commentCount >= maxComments) {
      throw new ConflictError(`A ticket has at most ${maxComments.toLocaleString('en-US')} comments.`);
    }
    const added = await tx.ticketComment.create({
      data: { tenantId, ticketId: row, body, isInternal, author: userId },
    });
    const ticket = await tx.ticket.update({
      where: { id: row, tenantId },
      data: { commentCount: { increment: 1 }, updatedAt: new Date() },
    });
    await tellWebhooks(tx, ticket, { type: 'ticket.commented', comment: added });
    const isOfContact = before.creatorIsContact && before.createdBy === userId;
    const reopens = before.status === 'SOLVED' && !isInternal && isOfContact;
    if (reopens) await changeTicket(viewer, tx, ticket, { status: 'OPEN' });
    return added;
  });
  announce(runtime, tenantId);
  return comment;
}
