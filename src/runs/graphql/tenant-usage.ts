import { type AgentName, readAgentNames } from '../../agents/read-names.ts';
import { formatId } from '../../api/ids.ts';
import { estimatePageCost } from '../../api/paging.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import {
  costPerDay,
  countUsageDays,
  readTenantUsage,
  type UsageRow,
  type UsageTotals,
  usagePageSizes,
} from '../read/tenant-usage.ts';

const UsageDimension = builder.enumType('UsageDimension', {
  description: 'By what the usage of a tenant is divided.',
  values: {
    DAY: { description: 'The day on which a model call ended, in the time zone that was asked for.' },
    AGENT: { description: 'The agent that called the model.' },
    USER: { description: 'The user whose turn, or whose request, called the model.' },
    MODEL: { description: 'The name of the model.' },
  } as const,
});

const UsageOrder = builder.enumType('UsageOrder', {
  description: 'The order of the rows of usage.',
  values: {
    KEY: { description: 'By what the rows are of: the day, the agent, the user and the model, in this order.' },
    TOKENS: { description: 'The most tokens first.' },
  } as const,
});

/** An agent as admins see it in lists of the tenant. */
export const TenantAgent = builder.objectRef<AgentName>('TenantAgent').implement({
  description: 'An agent as the admins of its tenant see it beside the work of all users.',
  fields: (t) => ({
    id: t.id({
      description: 'Its id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ id }) => formatId('Agent', id),
    }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'Its name. Null for an agent that another user has for themselves.',
    }),
  }),
});

/** Resolves the agent of rows that have the id of one, in one statement. */
export const resolveTenantAgent = <Row extends { readonly agentId: string | null }>() =>
  batchField<Row, object, AgentName | null>(
    ({ agentId }) => agentId ?? '',
    (rows, _args, context) =>
      readAgentNames(
        context.viewer,
        context.db,
        rows.map(({ agentId }) => agentId).filter((id) => id !== null),
      ).then((names) => {
        const byId = new Map(names.flatMap((name) => (name === null ? [] : [[name.id, name]])));
        return rows.map(({ agentId }) => byId.get(agentId ?? '') ?? null);
      }),
  );

const UsageTotalsRef = builder.objectRef<UsageTotals>('UsageTotals').implement({
  description:
    'Tokens and model calls of many users, as whole numbers. `cachedInputTokens`, `cacheWriteInputTokens` and `reasoningTokens` are parts of the totals, not additions to them.',
  fields: (t) => ({
    inputTokens: t.exposeFloat('inputTokens', { description: 'The tokens that models read.' }),
    outputTokens: t.exposeFloat('outputTokens', { description: 'The tokens that models wrote.' }),
    totalTokens: t.float({
      description: 'The sum of `inputTokens` and `outputTokens`.',
      resolve: ({ inputTokens, outputTokens }) => inputTokens + outputTokens,
    }),
    cachedInputTokens: t.exposeFloat('cachedInputTokens', {
      description: 'The part of the input tokens that providers read from their caches.',
    }),
    cacheWriteInputTokens: t.exposeFloat('cacheWriteInputTokens', {
      description: 'The part of the input tokens that providers wrote to their caches.',
    }),
    reasoningTokens: t.exposeFloat('reasoningTokens', {
      description: 'The part of the output tokens that was reasoning.',
    }),
    modelCalls: t.exposeFloat('modelCalls', { description: 'The number of model calls that are counted.' }),
    unreportedCalls: t.exposeFloat('unreportedCalls', {
      description: 'How many of the model calls reported no tokens. If there are any, the counts are too low.',
    }),
  }),
});

const UsageRowRef = builder.objectRef<UsageRow>('UsageRow').implement({
  description: 'What one day, agent, user or model used, or a combination of them.',
  fields: (t) => ({
    day: t.exposeString('day', {
      nullable: true,
      description: 'The day, such as `2026-11-29`. Null unless the usage is divided by DAY.',
    }),
    agent: t.field({
      type: TenantAgent,
      nullable: true,
      description:
        'The agent. Null unless the usage is divided by AGENT, and for what no agent called, such as a model that makes titles.',
      resolve: resolveTenantAgent<UsageRow>(),
    }),
    userId: t.exposeString('userId', {
      nullable: true,
      description: 'The id of the user: the `sub` of the access token. Null unless the usage is divided by USER.',
    }),
    model: t.exposeString('model', {
      nullable: true,
      description: 'The name of the model. Null unless the usage is divided by MODEL.',
    }),
    usage: t.field({ type: UsageTotalsRef, description: 'What was used.', resolve: (row) => row }),
  }),
});

builder.queryField('tenantUsage', (t) =>
  t.connection(
    {
      type: UsageRowRef,
      nullable: true,
      description: `The tokens that all users of the tenant used in a range of at most 366 days, divided by day, agent, user or model. Deleted conversations are included, and what the retention of the ledger has deleted is not. What nobody used has no row. 100 per page by default, at most 500; all pages count up to the moment of the first one. Each day of the range adds ${costPerDay} to the cost of the operation, on every page and under every alias. Two such sums of a tenant are made at the same time, and the next 30 wait; more are RATE_LIMITED. Only admins can see it: for others it is null, with FORBIDDEN.`,
      args: {
        from: t.arg({
          type: 'DateTime',
          required: true,
          description: 'Where the range begins, such as `2026-11-01T00:00:00Z`: in the past, and in 2000 or later.',
        }),
        to: t.arg({
          type: 'DateTime',
          description:
            'Where the range ends, exclusive, at most 366 days after `from`. If omitted, or in the future, now. A day that the range cuts is counted in part.',
        }),
        by: t.arg({
          type: [UsageDimension],
          required: true,
          description: 'By what the usage is divided: 1 to 4, each once. Example: `[DAY, AGENT]`.',
        }),
        timeZone: t.arg.string({
          defaultValue: 'UTC',
          description: 'The IANA time zone of the days, such as `Europe/Berlin`. If null, UTC.',
        }),
        orderBy: t.arg({
          type: UsageOrder,
          defaultValue: 'KEY',
          description: 'The order of the rows. If null, KEY.',
        }),
        agentId: t.arg.id({
          description:
            'Count only model calls of this agent, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`: a shared one, or your own.',
        }),
        userId: t.arg.string({
          description:
            'Count only model calls of the user with this id: the `sub` of the access token, 1 to 255 characters.',
        }),
      },
      complexity: (args) => {
        const { field, multiplier } = estimatePageCost(args, usagePageSizes);
        return { field: field + costPerDay * countUsageDays(args), multiplier };
      },
      resolve: (_root, args, context) => readTenantUsage(context.viewer, context.db, args),
    },
    {
      name: 'UsageConnection',
      description: 'One page of the usage of the tenant.',
      fields: (fields) => ({
        totals: fields.field({
          type: UsageTotalsRef,
          description: 'The sums of all rows, on all pages.',
          resolve: (connection) => connection.totals,
        }),
      }),
    },
    { name: 'UsageEdge', description: 'A row of usage, with its position in the list.' },
  ),
);
