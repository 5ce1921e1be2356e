import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { ToolCallStatus } from '../../conversations/graphql/message-types.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { maxSpans, type RunSpan, readRunSpans } from '../read/run-spans.ts';
import { findTenantRun, listTenantRuns, maxCountedRuns, type TenantRun } from '../read/tenant-runs.ts';
import { RunStatus } from './run.ts';
import { resolveTenantAgent, TenantAgent } from './tenant-usage.ts';
import { Usage } from './usage.ts';

const RunSpanKind = builder.enumType('RunSpanKind', {
  description: 'What a run was doing for a while.',
  values: {
    MODEL: { description: 'A model was called: that of an agent, or of a guardrail or an orchestration.' },
    TOOL: { description: 'A tool was called.' },
    APPROVAL: { description: 'The run waited until the user had decided on a tool call.' },
  } as const,
});

const RunSpanRef = builder.objectRef<RunSpan>('RunSpan').implement({
  description: 'What a run was doing for a while, without anything that was said.',
  fields: (t) => ({
    kind: t.field({ type: RunSpanKind, description: 'What it was doing.', resolve: ({ kind }) => kind }),
    name: t.exposeString('name', {
      description: 'The name of the model or, for a call and the wait for its approval, of the tool.',
    }),
    agent: t.field({
      type: TenantAgent,
      nullable: true,
      description: 'The agent whose call it was. Null if it was of no agent.',
      resolve: resolveTenantAgent<RunSpan>(),
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      description: 'When it began. For a tool call that never began, when it ended.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended. Null if it goes on. Model calls are here when they have ended.',
    }),
    toolStatus: t.field({
      type: ToolCallStatus,
      nullable: true,
      description: 'The state of the tool call. Null for a model call.',
      resolve: ({ toolStatus }) => toolStatus,
    }),
    tokens: t.exposeFloat('tokens', {
      nullable: true,
      description: 'The tokens that the model read and wrote, a whole number. Null for tools, and if it reported none.',
    }),
  }),
});

const TenantRunRef = builder.objectRef<TenantRun>('TenantRun').implement({
  description:
    'A run as the admins of its tenant see it, whoever its user is: how it went, and nothing that was said in it. Only its user reads the `Run` with the same id.',
  fields: (t) => ({
    id: t.id({
      description: 'The id of the run, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ id }) => formatId('Run', id),
    }),
    conversationId: t.id({
      description: 'The id of its conversation, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ conversationId }) => formatId('Conversation', conversationId),
    }),
    userId: t.exposeString('userId', { description: 'The id of its user: the `sub` of the access token.' }),
    status: t.field({ type: RunStatus, description: 'The current state.', resolve: ({ status }) => status }),
    agent: t.field({
      type: TenantAgent,
      nullable: true,
      description: 'The agent that was active last. Null before the run has started.',
      resolve: resolveTenantAgent<TenantRun>(),
    }),
    errorCode: t.exposeString('errorCode', {
      nullable: true,
      description: 'The code of its failure, such as `MODEL_ERROR`. Null if it did not fail.',
    }),
    usage: t.field({
      type: Usage,
      description: 'The tokens that the model calls of the run used.',
      resolve: ({ id }, _args, context) => context.usageOfRuns.load(id),
    }),
    resumedCount: t.exposeInt('resumedCount', { description: 'How often another process took the run over.' }),
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
    durationMs: t.float({
      nullable: true,
      description:
        'How long it took from its start to its end in milliseconds, a whole number, with the waits for approvals. Null if it has not started, or has not ended.',
      resolve: ({ startedAt, finishedAt }) => startedAt && finishedAt && finishedAt.getTime() - startedAt.getTime(),
    }),
    spans: t.field({
      type: [RunSpanRef],
      description: `What was at work when, in the order of the beginnings: the first ${maxSpans} model calls, and the first ${maxSpans} tool calls with the waits for their approvals.`,
      complexity: { field: 1, multiplier: 20 },
      resolve: batchField(
        ({ id }: TenantRun) => id,
        (runs, _args: object, context) =>
          readRunSpans(
            context.viewer,
            context.db,
            runs.map(({ id }) => id),
          ),
      ),
    }),
  }),
});

builder.queryFields((t) => ({
  tenantRuns: t.connection(
    {
      type: TenantRunRef,
      nullable: true,
      description: `The runs of all users of the tenant, the newest first, without anything that was said. 50 per page by default, at most 100; \`totalCount\` is at most ${maxCountedRuns.toLocaleString('en-US')}, which stands for more as well. Only admins can see it: for others it is null, with FORBIDDEN.`,
      args: {
        status: t.arg({
          type: [RunStatus],
          description: 'Return only runs in one of these states. Example: `[FAILED, CANCELLED]`. If omitted, in any.',
        }),
        agentId: t.arg.id({
          description:
            'Return only runs in which this agent was active last, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`: a shared one, or your own.',
        }),
        userId: t.arg.string({
          description: 'Return only runs of the user with this id: the `sub` of the access token, 1 to 255 characters.',
        }),
        from: t.arg({
          type: 'DateTime',
          description: 'Return only runs that were created at this moment or later, such as `2026-11-01T00:00:00Z`.',
        }),
        to: t.arg({ type: 'DateTime', description: 'Return only runs that were created before this moment.' }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context) => listTenantRuns(context.viewer, context.db, args),
    },
    { name: 'TenantRunConnection', description: 'One page of the runs of the tenant.' },
    { name: 'TenantRunEdge', description: 'A run of the tenant, with its position in the list.' },
  ),
  tenantRun: t.field({
    type: TenantRunRef,
    nullable: true,
    description:
      'One run of any user of the tenant, without anything that was said. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to another tenant. Only admins can see it: for others it is null, with FORBIDDEN.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The run’s id, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => findTenantRun(context.viewer, context.db, args.id),
  }),
}));
