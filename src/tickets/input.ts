import { z } from 'zod';
import { list, parseInput, text } from '../api/input.ts';
import { TicketPriority, TicketStatus } from '../generated/prisma/client.ts';

const subject = text(1, 300).refine((value) => value.trim() !== '', 'must not be blank');
const body = text(1, 20_000).refine((value) => value.trim() !== '', 'must not be blank');
const category = text(1, 100);
const assignee = text(1, 255);
const publicId = text(1, 255);
const status = z.enum(TicketStatus);
const priority = z.enum(TicketPriority);

const createInput = z.strictObject({
  subject,
  body,
  priority: priority.nullish(),
  category: category.nullish(),
  contactId: publicId.nullish(),
  conversationId: publicId.nullish(),
  projectId: publicId.nullish(),
  idempotencyKey: text(1, 255).nullish(),
});

/** A CreateTicketInput, checked. Ids are public ones. */
export type CreateTicketInput = z.output<typeof createInput>;

/** @throws {BadUserInputError} naming the field and its limit */
export function parseCreateTicket(value: unknown): CreateTicketInput {
  return parseInput(createInput, value, ['input']);
}

const updateInput = z
  .strictObject({
    subject: subject.optional(),
    status: status.optional(),
    priority: priority.optional(),
    category: category.nullish(),
    assignee: assignee.nullish(),
    contactId: publicId.nullish(),
  })
  .refine((fields) => Object.values(fields).some((value) => value !== undefined), 'must have one field at least');

/** An UpdateTicketInput, checked. What is undefined is not changed; null removes a value. */
export type UpdateTicketInput = z.output<typeof updateInput>;

/** @throws {BadUserInputError} naming the field and its limit */
export function parseUpdateTicket(value: unknown): UpdateTicketInput {
  return parseInput(updateInput, value, ['input']);
}

/** @throws {BadUserInputError} naming the limit */
export function parseCommentBody(value: string): string {
  return parseInput(body, value, ['body']);
}

const filterInput = z.strictObject({
  status: list(status, 4).nullish(),
  priority: list(priority, 4).nullish(),
  assignee: assignee.nullish(),
  contactId: publicId.nullish(),
  conversationId: publicId.nullish(),
  projectId: publicId.nullish(),
  search: text(1, 200).nullish(),
});

/** A TicketFilter, checked. Ids are public ones. */
export type TicketFilter = z.output<typeof filterInput>;

/** @throws {BadUserInputError} naming the field and its limit */
export function parseFilter(value: unknown): TicketFilter {
  return parseInput(filterInput, value ?? {}, ['filter']);
}

/** What a model gives create_ticket. */
export const toolInput = z.strictObject({
  subject: z.string().trim().min(1).max(300).describe('What it is about, in one line.'),
  body: z
    .string()
    .trim()
    .min(1)
    .max(20_000)
    .describe('The request, with all that a person needs to know to work on it.'),
  priority: z.enum(TicketPriority).optional().describe('How urgent it is. NORMAL if omitted.'),
  category: z.string().trim().min(1).max(100).optional().describe('A grouping, such as billing.'),
});
