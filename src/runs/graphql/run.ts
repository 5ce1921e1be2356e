import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { belongsTo } from '../../auth/access.ts';
import { ConversationRef } from '../../conversations/graphql/types.ts';
import type { Message } from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, ViewerRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode, toNodes } from '../../graphql/selection.ts';
import { approveToolCall } from '../commands/approve.ts';
import { cancelRun } from '../commands/cancel.ts';
import { deleteWithRuns } from '../commands/delete.ts';
import { sendMessage } from '../commands/follow.ts';
import { startRun } from '../commands/start.ts';
import {
  findRun,
  readCreationKeys,
  readFailure,
  readRoutingDecision,
  readRoutingDecisions,
  savedSeq,
} from '../read/read.ts';
import { buildRunPage, selectRunPage } from '../read/run-page.ts';
import { sumViewerUsage } from '../read/usage.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { chatTurnInput } from './input.ts';
import { RoutingDecision, RunError } from './records.ts';
import { RunEdge, RunRef } from './run-ref.ts';
import { Usage } from './usage.ts';

/** The states of a run in the graph. */
export const RunStatus = builder.enumType('RunStatus', {
  description: 'The state of a run. A run is unfinished while it is QUEUED, RUNNING or REQUIRES_ACTION.',
  values: {
    QUEUED: { description: 'The run waits until the turns before it in the conversation have ended.' },
    RUNNING: { description: 'The run is in progress.' },
    REQUIRES_ACTION: { description: 'The run waits for the user’s decision on a tool call. Call `approveToolCall`.' },
    COMPLETED: { description: 'The run ended with an answer.' },
    FAILED: { description: 'The run failed. `error` has the cause.' },
    CANCELLED: { description: 'The run was cancelled, or nobody decided on a tool call in time.' },
  } as const,
});

builder.prismaObjectFields(RunRef, (t) => ({
  conversation: t.field({
    type: ConversationRef,
    nullable: true,
    description:
      'The conversation of the run. Null if it was deleted while an event of the run was on its way, and for everybody but the user to whom it belongs.',
    select: (_args, _context, nested) => ({ conversation: nested(true) }),
    resolve: (run, _args, { viewer }) => (belongsTo(viewer, run) ? run.conversation : null),
  }),
  idempotencyKey: t.string({
    description:
      'The key with which the client started the turn: by it the client knows the turn as its own. Empty for everybody but the user of the run.',
    resolve: (run, _args, { viewer }) => (belongsTo(viewer, run) ? run.idempotencyKey : ''),
  }),
  queuePosition: t.field({
    type: 'Int',
    nullable: true,
    description:
      'The place of the run in the queue of its conversation; 1 is the next to begin. Null unless the run is QUEUED.',
    resolve: (run, _args, context) => (run.status === 'QUEUED' ? context.queuePositions.load(run.id) : null),
  }),
  status: t.expose('status', { type: RunStatus, description: 'The current state.' }),
  agent: t.field({
    type: AgentRef,
    nullable: true,
    description: 'The agent that was active last. Null before the run has started.',
    resolve: ({ agentId }, _args, context) => (agentId === null ? null : context.agents.load(agentId)),
  }),
  lastSeq: t.int({
    description:
      'The `seq` of the last event whose effects are included in what you read. Pass it to `runEvents` as `after` to continue from here.',
    resolve: (run, _args, context) => savedSeq(context.runs, run, context.startedAt),
  }),
  routingDecision: t.field({
    type: RoutingDecision,
    nullable: true,
    description:
      'Which agent was chosen at the start of the run, and why. Null before the run has started, and for everybody but its user.',
    resolve: (run, _args, { viewer }) => (belongsTo(viewer, run) ? readRoutingDecision(run.routingDecision) : null),
  }),
  usage: t.field({
    type: Usage,
    description: 'The tokens that the model calls of the run used.',
    resolve: (run, _args, context) => context.usageOfRuns.load(run.id),
  }),
  error: t.field({
    type: RunError,
    nullable: true,
    description:
      'The cause of the failure. Null if it did not fail. Its `message` is empty for everybody but the user of the run.',
    resolve: (run, _args, { viewer }) => {
      const failure = readFailure(run);
      return failure === null || belongsTo(viewer, run) ? failure : { ...failure, message: '' };
    },
  }),
  resumedCount: t.exposeInt('resumedCount', {
    description:
      'How often another process took the run over, because its own had died or had to stop. Calls that were under way are made again only if their tool is idempotent. A run whose process has died three times fails with INTERRUPTED if it dies again; how often it was handed over does not count. 0 for most runs.',
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the run was created.' }),
  startedAt: t.expose('startedAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When it started. Null if it has not started.',
  }),
  finishedAt: t.expose('finishedAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When it ended. Null if it has not ended.',
  }),
}));

builder.nodeRef(RunRef, {
  id: { resolve: (run: typeof RunRef.$inferType) => run.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(findRun(context.viewer, context.db, formatId('Run', row), ['id'], includeUnder(context, info, 'Run'))),
});

builder.queryField('run', (t) =>
  t.prismaField({
    type: RunRef,
    nullable: true,
    description:
      'One run of a conversation of the viewer. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The run’s id, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => findRun(context.viewer, context.db, args.id, ['id'], query),
  }),
);

/** A page of runs; schedules have one too. */
export const RunConnection = builder.connectionObject(
  { type: RunRef, name: 'RunConnection', description: 'One page of a list of runs.' },
  RunEdge,
);

builder.prismaObjectFields('Conversation', (t) => ({
  activeRun: t.field({
    type: RunRef,
    nullable: true,
    description:
      'The oldest unfinished run. Follow it with `runEvents(runId: $id, after: $lastSeq)`. Null if all runs have ended.',
    select: (_args, _context, nested) => ({
      runs: nested({
        where: { status: { in: [...unfinishedStatuses] } },
        orderBy: { number: 'asc' },
        take: 1,
      }),
    }),
    resolve: (conversation) => conversation.runs[0] ?? null,
  }),
  runs: t.connection(
    {
      type: RunRef,
      description: 'The runs of the conversation, oldest first. 50 per page by default, at most 100.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      select: (args, _context, nested) => ({ runs: nested(selectRunPage(args), toNodes) }),
      resolve: (conversation, args) => buildRunPage(conversation, conversation.runs, args),
    },
    RunConnection,
    RunEdge,
  ),
  usage: t.field({
    type: Usage,
    description: 'The tokens that all model calls of the conversation used.',
    resolve: (conversation, _args, context) => context.usageOfConversations.load(conversation.id),
  }),
}));

const creationKeyOf = batchField(
  ({ id }: Pick<Message, 'id' | 'creationKey'>) => id,
  (messages, _args: object, { viewer, db }) => readCreationKeys(viewer, db, messages),
);

builder.prismaObjectFields('Message', (t) => ({
  run: t.field({
    type: RunRef,
    nullable: true,
    description:
      'The run that wrote the message or, for a user message, the run that answers it in the active branch. Null if there is none.',
    select: (_args, _context, nested) => ({
      run: nested(),
      startedRuns: nested({ orderBy: { number: 'asc' } }),
    }),
    resolve: (message) => message.run ?? message.startedRuns.find(({ isCurrent }) => isCurrent) ?? null,
  }),
  routingDecision: t.field({
    type: RoutingDecision,
    nullable: true,
    description:
      'How the agent of the message was chosen. Null if it was not recorded, and for everybody but the user of the conversation.',
    resolve: batchField(
      ({ id }) => id,
      (messages: readonly Pick<Message, 'id' | 'routingDecision'>[], _args: object, context) =>
        readRoutingDecisions(context.viewer, context.db, messages),
    ),
  }),
  idempotencyKey: t.string({
    nullable: true,
    description:
      'The key with which the client sent the message: by it the client knows the message as its own. For a message that began a turn or joined a run, the key of the turn; else that of `createMessage`. Null if there is none, and for everybody but the user of the conversation.',
    select: {
      startedRuns: { orderBy: { number: 'asc' }, select: { idempotencyKey: true } },
      steered: { select: { idempotencyKey: true } },
    },
    resolve: (message, args, context, info) => {
      const { role, creationKey, steered, startedRuns } = message;
      // What a user has said is read by that user alone; an answer, by whoever reads feedback.
      if (creationKey !== null && role !== 'USER') return creationKeyOf(message, args, context, info);
      // The first of them: others answer it again.
      return creationKey ?? steered?.idempotencyKey ?? startedRuns[0]?.idempotencyKey ?? null;
    },
  }),
}));

builder.mutationFields((t) => ({
  deleteConversation: t.id({
    description:
      'Deletes a conversation with its messages and runs, and returns its id. Unfinished runs are cancelled; their subscribers receive RunCancelled with the last known state of the run.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => deleteWithRuns(context.viewer, context.runs, args.id),
  }),
  startRun: t.prismaField({
    type: RunRef,
    description: 'Starts a turn and returns its run without waiting for the answer. Follow it with `runEvents`.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    resolve: (query, _root, args, context) => startRun(context.viewer, context.runs, args.input, query),
  }),
  sendMessage: t.prismaField({
    type: RunRef,
    description:
      'Starts a turn and returns its run when it has ended, or when it waits for an approval (status REQUIRES_ACTION). Use `chatTurn` to receive the answer while it is written.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    resolve: (query, _root, args, context) => sendMessage(context.viewer, context.runs, args.input, query),
  }),
  cancelRun: t.prismaField({
    type: RunRef,
    description:
      'Cancels a run, whichever server process carries it out, and returns it when it has ended. A run that has ended stays as it is.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The run’s id, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => cancelRun(context.viewer, context.runs, args.id, query),
  }),
  approveToolCall: t.prismaField({
    type: RunRef,
    description:
      'Approves or denies a tool call that waits for the user’s decision. Only the user of the run may decide. The run resumes when all of its waiting calls are decided. A second decision on the same call, or one that comes too late, is a CONFLICT.',
    args: {
      runId: t.arg.id({
        description:
          'The id of the run of the call, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. It may be omitted, because `toolCallId` is enough. If it is given, it must be the run of the call.',
      }),
      toolCallId: t.arg.id({
        required: true,
        description: 'The `id` of the tool call, such as `tcl_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      approve: t.arg.boolean({
        required: true,
        description: 'True to run the tool. False to deny the call; the model is told so.',
      }),
      arguments: t.arg.string({
        description:
          'With `approve: true`, the arguments to use in place of the model’s: a JSON object as text that matches the tool’s schema, at most 64 KB. Example: `{"orderNumber":"1043"}`.',
      }),
    },
    resolve: (query, _root, args, context) => approveToolCall(context.viewer, context.runs, args, query),
  }),
}));

builder.objectField(ViewerRef, 'usage', (t) =>
  t.field({
    type: Usage,
    description: 'The tokens that all turns of the viewer used, deleted conversations included.',
    args: {
      since: t.arg({
        type: 'DateTime',
        description: 'Count only model calls since this moment, such as `2026-01-01T00:00:00Z`. If omitted, all.',
      }),
    },
    resolve: (_viewer, args, context) => sumViewerUsage(context.viewer, context.db, args.since),
  }),
);
