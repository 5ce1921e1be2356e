import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { approveToolCall } from '../commands/approve.ts';
import { cancelRun } from '../commands/cancel.ts';
import { deleteWithRuns } from '../commands/delete.ts';
import { sendMessage } from '../commands/follow.ts';
import { startRun } from '../commands/start.ts';
import { findRun, readFailure, readRoutingDecision, savedSeq } from '../read/read.ts';
import { buildRunPage, defaultRunPageSize, selectRunPage } from '../read/run-page.ts';
import { sumViewerUsage } from '../read/usage.ts';
import { chatTurnInput } from './input.ts';
import { Handoff, RoutingDecision, RunError, ToolCall } from './records.ts';
import { RunRef } from './run-ref.ts';
import { Usage } from './usage.ts';

const RunStatus = builder.enumType('RunStatus', {
  description: 'Where a run stands.',
  values: {
    QUEUED: { description: 'It waits for the turn before it in its conversation.' },
    RUNNING: { description: 'It is carried out.' },
    REQUIRES_ACTION: { description: 'It waits for a person: a tool call has to be approved, with approveToolCall.' },
    COMPLETED: { description: 'It is over, with an answer.' },
    FAILED: { description: 'It is over; `error` says why.' },
    CANCELLED: { description: 'It was cancelled.' },
  } as const,
});

builder.prismaObjectFields(RunRef, (t) => ({
  conversation: t.relation('conversation', { description: 'Where it belongs.' }),
  status: t.expose('status', { type: RunStatus, description: 'Where it stands.' }),
  agent: t.relation('agent', { nullable: true, description: 'Who had the floor last.' }),
  lastSeq: t.int({
    description: 'The seq of the last event that is in the rows. Pass it as `after` to go on from here.',
    resolve: (run, _args, context) => savedSeq(context.runs, run, context.startedAt),
  }),
  userMessage: t.relation('userMessage', { nullable: true, description: 'What it answers.' }),
  messages: t.relation('messages', {
    query: { orderBy: { position: 'asc' } },
    description: 'What it wrote, oldest first.',
  }),
  toolCalls: t.field({
    type: [ToolCall],
    description: 'The tools it called, oldest first.',
    select: { toolCalls: { orderBy: [{ step: 'asc' }, { index: 'asc' }] } },
    resolve: (run) => run.toolCalls,
  }),
  handoffs: t.field({
    type: [Handoff],
    description: 'How the floor moved, oldest first.',
    select: { handoffs: { orderBy: { step: 'asc' } } },
    resolve: (run) => run.handoffs,
  }),
  routingDecision: t.field({
    type: RoutingDecision,
    nullable: true,
    description: 'Who got the floor at its beginning, and why.',
    resolve: (run) => readRoutingDecision(run.routingDecision),
  }),
  usage: t.field({
    type: Usage,
    description: 'The tokens of its model calls.',
    resolve: (run, _args, context) => context.usageOfRuns.load(run.id),
  }),
  error: t.field({
    type: RunError,
    nullable: true,
    description: 'Why it failed, where it did.',
    resolve: readFailure,
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was asked for.' }),
  startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
  finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
}));

builder.nodeRef(RunRef, {
  id: { resolve: (run: typeof RunRef.$inferType) => run.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(findRun(context.viewer, context.db, formatId('Run', row), ['id'], includeUnder(context, info, 'Run'))),
});

builder.queryField('run', (t) =>
  t.prismaField({
    type: RunRef,
    nullable: true,
    description: 'A run of one of the viewer’s conversations.',
    args: { id: t.arg.id({ required: true, description: 'The run’s id, run_….' }) },
    resolve: (query, _root, args, context) => findRun(context.viewer, context.db, args.id, ['id'], query),
  }),
);

builder.prismaObjectFields('Conversation', (t) => ({
  activeRun: t.field({
    type: RunRef,
    nullable: true,
    description: 'The turn that is under way. Follow it with runEvents(runId, after: lastSeq).',
    select: (_args, _context, nested) => ({
      runs: nested({
        where: { status: { in: ['RUNNING', 'REQUIRES_ACTION', 'QUEUED'] } },
        orderBy: { number: 'asc' },
        take: 1,
      }),
    }),
    resolve: (conversation) => conversation.runs[0] ?? null,
  }),
  runs: t.connection(
    {
      type: RunRef,
      description: 'Its turns, oldest first, 50 a page unless asked otherwise, at most 100.',
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, defaultRunPageSize) }),
      select: (args, _context, nested) => ({ runs: nested(selectRunPage(args), toNodes) }),
      resolve: (conversation, args) => buildRunPage(conversation, conversation.runs, args),
    },
    { name: 'RunConnection', description: 'A page of runs.' },
    { name: 'RunEdge', description: 'A run in a page.' },
  ),
  usage: t.field({
    type: Usage,
    description: 'The tokens of all its model calls.',
    resolve: (conversation, _args, context) => context.usageOfConversations.load(conversation.id),
  }),
}));

builder.prismaObjectFields('Message', (t) => ({
  run: t.field({
    type: RunRef,
    nullable: true,
    description: 'The turn that wrote it, or that it began.',
    select: (_args, _context, nested) => ({ run: nested(), startedRun: nested() }),
    resolve: (message) => message.run ?? message.startedRun,
  }),
  routingDecision: t.field({
    type: RoutingDecision,
    nullable: true,
    description: 'How its agent was chosen, where it was noted.',
    resolve: (message) => readRoutingDecision(message.routingDecision),
  }),
  toolCalls: t.field({
    type: [ToolCall],
    description: 'The tools that were called for it, oldest first.',
    select: { toolCalls: { orderBy: [{ step: 'asc' }, { index: 'asc' }] } },
    resolve: (message) => message.toolCalls,
  }),
}));

builder.mutationFields((t) => ({
  deleteConversation: t.id({
    description:
      'Deletes a conversation with its messages and runs, and answers its id. Turns in it are cancelled; their readers get RunCancelled, whose run is as it was last known.',
    args: { id: t.arg.id({ required: true, description: 'The conversation’s id, conv_….' }) },
    resolve: (_root, args, context) => deleteWithRuns(context.viewer, context.runs, args.id),
  }),
  startRun: t.prismaField({
    type: RunRef,
    description: 'Starts a turn in the background; follow it with runEvents.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    resolve: (query, _root, args, context) => startRun(context.viewer, context.runs, args.input, query),
  }),
  sendMessage: t.prismaField({
    type: RunRef,
    description:
      'Runs a whole turn and answers when it is over, or when it waits for a person: then its status is REQUIRES_ACTION.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    resolve: (query, _root, args, context) => sendMessage(context.viewer, context.runs, args.input, query),
  }),
  cancelRun: t.prismaField({
    type: RunRef,
    description: 'Stops a turn, wherever it runs, and answers when it has ended. One that is over stays as it is.',
    args: { id: t.arg.id({ required: true, description: 'The run’s id, run_….' }) },
    resolve: (query, _root, args, context) => cancelRun(context.viewer, context.runs, args.id, query),
  }),
  approveToolCall: t.prismaField({
    type: RunRef,
    description:
      'Approves or denies a tool call that waits for it: only the run’s own user may. When all of its calls that wait have their answer, the run goes on, on whichever instance is asked. A second answer to the same call, and one that comes too late, is a CONFLICT.',
    args: {
      runId: t.arg.id({ required: true, description: 'The run’s id, run_….' }),
      toolCallId: t.arg.id({ required: true, description: 'The call’s id, as ApprovalRequested has it.' }),
      approve: t.arg.boolean({
        required: true,
        description: 'True: it is run. False: it is not, and the model is told so.',
      }),
      arguments: t.arg.string({
        description:
          'With approve: true, the arguments to run it with instead of the model’s: a JSON object as text, at most 64 KB, that fits the tool’s schema.',
      }),
    },
    resolve: (query, _root, args, context) => approveToolCall(context.viewer, context.runs, args, query),
  }),
}));

builder.objectField(ViewerRef, 'usage', (t) =>
  t.field({
    type: Usage,
    description: 'The tokens of all the viewer’s turns, those of deleted conversations too.',
    args: { since: t.arg({ type: 'DateTime', description: 'Only model calls from this moment on.' }) },
    resolve: (_viewer, args, context) => sumViewerUsage(context.viewer, context.db, args.since),
  }),
);
