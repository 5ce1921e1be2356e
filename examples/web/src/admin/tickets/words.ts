import type { TicketPriority, TicketStatus } from '../generated/graphql.ts';

/** The states of a ticket, as a select shows them. */
export const statuses: readonly (readonly [TicketStatus, string])[] = [
  ['OPEN', 'open'],
  ['PENDING', 'pending'],
  ['SOLVED', 'solved'],
  ['CLOSED', 'closed'],
];

/** The priorities, the most urgent first. */
export const priorities: readonly (readonly [TicketPriority, string])[] = [
  ['URGENT', 'urgent'],
  ['HIGH', 'high'],
  ['NORMAL', 'normal'],
  ['LOW', 'low'],
];

export const statusTones = { OPEN: 'warn', PENDING: 'plain', SOLVED: 'good', CLOSED: 'plain' } as const;
export const priorityTones = { URGENT: 'bad', HIGH: 'warn', NORMAL: 'plain', LOW: 'plain' } as const;
