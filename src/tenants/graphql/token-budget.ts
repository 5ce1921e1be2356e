import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';
import type { BudgetState } from '../../limits/token-budget.ts';

const TokenBudgetScope = builder.enumType('TokenBudgetScope', {
  description: 'Whose tokens a budget counts.',
  values: {
    USER: { value: 'user', description: 'Yours.' },
    TENANT: { value: 'tenant', description: 'Those of all users of the tenant together.' },
  } as const,
});

const TokenBudget = builder.objectRef<BudgetState>('TokenBudget').implement({
  description:
    'How many tokens may be used in a day, from midnight to midnight UTC. When none are left, turns are refused with RATE_LIMITED, and `extensions.resetAt` says until when.',
  fields: (t) => ({
    scope: t.field({
      type: TokenBudgetScope,
      description: 'Whose tokens are counted.',
      resolve: ({ scope }) => scope,
    }),
    dailyTokens: t.float({
      description: 'The maximum, input and output tokens together. A whole number.',
      resolve: ({ limit }) => limit,
    }),
    usedTokens: t.float({
      description:
        'How many were used today. A whole number: what providers report; an estimate for calls that were stopped or reported nothing, and for reports that cannot be true from the address of an agent. More than `dailyTokens` if a model call that had begun went beyond.',
      resolve: ({ used }) => used,
    }),
    resetAt: t.field({
      type: 'DateTime',
      description: 'When the next day begins.',
      resolve: ({ resetAt }) => resetAt,
    }),
  }),
});

builder.objectField(ViewerRef, 'tokenBudgets', (t) =>
  t.field({
    type: [TokenBudget],
    description: 'Your daily token budget and that of your tenant. Empty if the operator has set none.',
    resolve: (viewer, _args, context) => context.agentDeps.tokenBudget.readStates(viewer),
  }),
);
