import { belongsTo } from '../../auth/access.ts';
import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, selectUnder } from '../../graphql/selection.ts';
import { GuardrailResult } from '../../guardrails/graphql/types.ts';
import { rowBytes } from '../../limits/answer-budget.ts';
import { maxGuardResults, readGuardResult } from '../guard-result.ts';
import { readResultsOfMessages } from '../read/message-results.ts';
import {
  maxPart,
  type Part,
  parsePart,
  readRunCalls,
  readRunMessages,
  readUserMessages,
} from '../read/run-contents.ts';
import { HandoffRef } from './records.ts';
import { RunRef } from './run-ref.ts';
import { ToolCallRef } from './tool-calls.ts';

// What a run and a message contain: lists whose items may be large. They are loaded for all runs of an answer together,
// after their sizes. They are for the user of the run alone: admins who read feedback see the run, and nothing that is in it.

/**
 * The items that a list counts in the cost of an operation if `first` does not say how many are asked for. What it really has
 * is known when it is read: each row takes `rowBytes` of what the answer may hold, however small it is, so that an answer
 * has fewer rows than the highest cost has objects.
 */
const usualCounts = {
  messages: 10,
  toolCallsOfRun: 20,
  toolCallsOfMessage: 10,
  handoffs: 10,
  guardrailResults: 10,
} as const;

/** A handoff takes a model step, and a run has at most 100. */
const maxHandoffs = 100;

/** The cost of a list: its items, and what is selected on each. */
function costOf(usualCount: number) {
  return ({ first }: Part) => {
    const count = Math.min(Math.max(0, first ?? usualCount), maxPart);
    return { field: 1 + count, multiplier: count };
  };
}

const firstDescription = (count: number) =>
  `Return at most so many items, 0 to ${maxPart}. Default: all. The cost of the operation counts ${count} if it is not given.`;
const offsetDescription = 'Skip so many items at the beginning of the list.';

builder.prismaObjectFields(RunRef, (t) => ({
  userMessage: t.field({
    type: MessageRef,
    nullable: true,
    description: 'The user message that the turn answers. Null if it was deleted.',
    resolve: batchField(
      ({ id }) => id,
      (runs, _args, context, info) =>
        readUserMessages(context.viewer, context, runs, includeUnder(context, info, 'Message')),
    ),
  }),
  messages: t.field({
    type: [MessageRef],
    description:
      'The messages that the run wrote, oldest first. QUERY_TOO_COMPLEX if they do not fit into one answer: pass `first` and `offset`.',
    args: {
      first: t.arg.int({ description: firstDescription(usualCounts.messages) }),
      offset: t.arg.int({ defaultValue: 0, description: offsetDescription }),
    },
    complexity: costOf(usualCounts.messages),
    resolve: batchField(
      ({ id }) => id,
      (runs, args, context, info) =>
        readRunMessages(context.viewer, context, runs, args, includeUnder(context, info, 'Message')),
    ),
  }),
  toolCalls: t.field({
    type: [ToolCallRef],
    description:
      'The tool calls of the run, oldest first. QUERY_TOO_COMPLEX if they do not fit into one answer: pass `first` and `offset`.',
    args: {
      first: t.arg.int({ description: firstDescription(usualCounts.toolCallsOfRun) }),
      offset: t.arg.int({ defaultValue: 0, description: offsetDescription }),
    },
    complexity: costOf(usualCounts.toolCallsOfRun),
    resolve: batchField(
      ({ id }) => id,
      (runs, args, context, info) =>
        readRunCalls(context.viewer, context, runs, args, selectUnder(context, info, 'ToolCall')),
    ),
  }),
  guardrailResults: t.field({
    type: [GuardrailResult],
    description:
      'What the guardrails decided about the texts of the run, oldest first, at most 1,000: one result for each guardrail and text, whether it was flagged or not.',
    complexity: { field: 1 + usualCounts.guardrailResults, multiplier: usualCounts.guardrailResults },
    select: (_args, _context, nested) => ({
      guardrailResults: nested({ orderBy: [{ at: 'asc' }, { id: 'asc' }], take: maxGuardResults }),
    }),
    // Their number is known only now, as with handoffs.
    resolve: async (run, _args, { answer, viewer }) => {
      if (!belongsTo(viewer, run)) return [];
      await answer.take(run.guardrailResults.length * rowBytes);
      return run.guardrailResults.map(readGuardResult);
    },
  }),
  handoffs: t.field({
    type: [HandoffRef],
    description: 'The handoffs of the run, oldest first, at most 100.',
    complexity: { field: 1 + usualCounts.handoffs, multiplier: usualCounts.handoffs },
    select: (_args, _context, nested) => ({ handoffs: nested({ orderBy: { step: 'asc' }, take: maxHandoffs }) }),
    // Their number is known only now. It is bounded, and a reason has at most 1,000 characters.
    resolve: async (run, _args, { answer, viewer }) => {
      if (!belongsTo(viewer, run)) return [];
      await answer.take(run.handoffs.length * rowBytes);
      return run.handoffs;
    },
  }),
}));

builder.prismaObjectField('Message', 'toolCalls', (t) =>
  t.field({
    type: [ToolCallRef],
    description:
      'The tool calls that belong to the message, oldest first. When the message is complete, all of them are there. QUERY_TOO_COMPLEX if they do not fit into one answer: pass `first` and `offset`.',
    args: {
      first: t.arg.int({ description: firstDescription(usualCounts.toolCallsOfMessage) }),
      offset: t.arg.int({ defaultValue: 0, description: offsetDescription }),
    },
    complexity: costOf(usualCounts.toolCallsOfMessage),
    // Loaded with the messages, whose sizes include their calls.
    select: (args, { viewer }, nested) => {
      const { take, skip } = parsePart(args);
      const order = {
        where: { message: { conversation: { userId: viewer.userId } } },
        orderBy: [{ step: 'asc' as const }, { index: 'asc' as const }],
      };
      return { toolCalls: nested(take === null ? { ...order, skip } : { ...order, skip, take }) };
    },
    resolve: (message) => message.toolCalls,
  }),
);

builder.prismaObjectField('Message', 'guardrailResults', (t) =>
  t.field({
    type: [GuardrailResult],
    description:
      'What guardrails decided about a message of the user, of a realtime session, or one that `createMessage` added, oldest first, at most 100: also why it is BLOCKED. Empty for messages that an agent wrote in a run: see `Run.guardrailResults`.',
    complexity: { field: 1 + usualCounts.guardrailResults, multiplier: usualCounts.guardrailResults },
    // Not a selection of relations: `run` selects the same ones, and would be read again for each message.
    resolve: batchField(
      ({ id }: { readonly id: string }) => id,
      (messages, _args, context) =>
        readResultsOfMessages(
          context.viewer,
          context,
          messages.map(({ id }) => id),
        ),
    ),
  }),
);
