import { z } from 'zod';
import { readId } from '../../api/ids.ts';
import { integer, json, list, text } from '../../api/input.ts';
import { storedAttachments } from '../attachment.ts';
import { storedRoutingDecision } from '../routing-decision.ts';

/** How a file of conversations begins. */
export const fileFormat = 'switchboard.conversations';
export const fileVersion = 1;

/** The most that one conversation of a file can have. */
const maxMessages = 10_000;
const maxCalls = 20_000;
/** The longest text and the largest JSON value, in characters. */
const maxText = 2_000_000;

const moment = z.iso
  .datetime({ offset: true, error: 'must be a moment like 2026-11-29T08:30:00Z' })
  .transform((value) => new Date(value))
  // Whoever lists by time is not to see what has not happened yet above everything else.
  .transform((at) => (at.getTime() > Date.now() ? new Date() : at))
  .refine((at) => at.getTime() >= 0, 'must not be before 1970');
const name = text(1, 255);
const value = json(maxText).pipe(z.json());
const agentId = rowId('Agent').nullable();
const routingDecision = z.preprocess(
  (input) => input ?? null,
  json(100_000).pipe(storedRoutingDecision.catchall(z.json()).nullable()),
);
const transfers = list(
  z.strictObject({ id: name, name, arguments: text(0, 100_000), index: integer(0, 10_000) }),
  100,
).nullable();

function rowId(kind: Parameters<typeof readId>[0]) {
  return z.string({ error: 'must be an id' }).transform((id, context) => {
    const row = readId(kind, id);
    if (row !== null) return row;
    context.addIssue({ code: 'custom', message: 'must be an id' });
    return z.NEVER;
  });
}

const citation = z.object({
  index: integer(1, 1_000_000),
  documentId: rowId('KnowledgeDocument').nullable(),
  title: text(0, 10_000),
  url: text(0, 10_000).nullable(),
  quote: text(0, 300),
  position: integer(1, 1_000_000_000),
});

const feedback = z.object({
  rating: z.enum(['UP', 'DOWN']),
  comment: text(1, 5_000).nullable(),
  scenarioVersion: integer(0, 1_000_000_000).nullable(),
  createdAt: moment,
});

/** Files stay where they are stored: who imports a file of conversations has them by name alone. */
function dropIds(attachments: z.output<typeof storedAttachments>) {
  return attachments.map(({ fileId: _fileId, isPassing: _isPassing, ...attachment }) => ({ ...attachment, id: null }));
}

const message = z.object({
  id: rowId('Message'),
  parentId: rowId('Message').nullable(),
  role: z.enum(['USER', 'ASSISTANT', 'SYSTEM']),
  // What was being written has ended for who imports it.
  status: z
    .enum(['COMPLETE', 'STREAMING', 'PARTIAL', 'REDACTED', 'BLOCKED'])
    .transform((status) => (status === 'STREAMING' ? ('PARTIAL' as const) : status)),
  content: text(0, maxText),
  agentId,
  runId: rowId('Run').nullable(),
  step: integer(0, 1_000_000).nullable(),
  attachments: json(100_000).pipe(storedAttachments.max(100)).transform(dropIds),
  routingDecision,
  source: z.enum(['CHAT', 'REALTIME', 'IMPORT']),
  finishReason: z.enum(['STOP', 'LENGTH', 'FILTERED', 'CANCELLED', 'ERROR']).nullable(),
  transfers,
  createdAt: moment,
  hasData: z.boolean(),
  data: value.nullable(),
  reasoning: text(0, maxText).nullable(),
  citations: list(citation, 1_000),
  feedback: feedback.nullable(),
});

const run = z.object({
  id: rowId('Run'),
  status: z
    .enum(['QUEUED', 'RUNNING', 'REQUIRES_ACTION', 'COMPLETED', 'FAILED', 'CANCELLED'])
    .transform((status) =>
      status === 'COMPLETED' || status === 'FAILED' || status === 'CANCELLED' ? status : ('CANCELLED' as const),
    ),
  userMessageId: rowId('Message'),
  isCurrent: z.boolean(),
  agentId,
  routingDecision,
  errorCode: text(1, 100).nullable(),
  errorMessage: text(0, 10_000).nullable(),
  errorRetryable: z.boolean().nullable(),
  createdAt: moment,
  startedAt: moment.nullable(),
  finishedAt: moment.nullable(),
});

const toolCall = z.object({
  runId: rowId('Run').nullable(),
  messageId: rowId('Message').nullable(),
  callId: name,
  step: integer(0, 1_000_000),
  index: integer(0, 1_000_000),
  name,
  arguments: text(0, maxText),
  editedArguments: text(0, maxText).nullable(),
  decidedBy: text(1, 255).nullable(),
  result: value.nullable(),
  status: z
    .enum(['PENDING', 'AWAITING_APPROVAL', 'RUNNING', 'SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED', 'UNKNOWN'])
    .transform((status) =>
      status === 'PENDING' || status === 'AWAITING_APPROVAL' || status === 'RUNNING' ? ('CANCELLED' as const) : status,
    ),
  error: text(0, maxText).nullable(),
  agentId,
  transfers,
  startedAt: moment.nullable(),
  finishedAt: moment.nullable(),
});

const handoff = z.object({
  runId: rowId('Run'),
  callId: name,
  step: integer(0, 1_000_000),
  seq: integer(0, 2_147_483_647),
  fromAgentId: rowId('Agent'),
  toAgentId: rowId('Agent'),
  reason: text(0, 100_000).nullable(),
  at: moment,
});

/** A conversation of a file. Parents stand before their children: so there are no cycles. */
export const conversationInFile = z.object({
  title: text(1, 200).refine((title) => title.trim() !== '', 'must not be blank'),
  autoTitle: z.boolean(),
  isPinned: z.boolean(),
  isArchived: z.boolean(),
  projectId: z.string().nullable(),
  scenarioKey: name.nullable(),
  agentId: z.string().nullable(),
  activeLeafId: rowId('Message').nullable(),
  createdAt: moment,
  updatedAt: moment,
  messages: list(message, maxMessages),
  runs: list(run, maxMessages),
  toolCalls: list(toolCall, maxCalls),
  toolCallsWithoutRun: list(toolCall, maxCalls),
  handoffs: list(handoff, maxMessages),
});
export type ConversationInFile = z.output<typeof conversationInFile>;
export type MessageInFile = ConversationInFile['messages'][number];
export type ToolCallInFile = ConversationInFile['toolCalls'][number];
