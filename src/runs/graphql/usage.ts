import { UsageRef } from '../../graphql/refs.ts';

/** Token usage in the graph. */
export const Usage = UsageRef.implement({
  description:
    'The tokens that model calls used. `cachedInputTokens`, `cacheWriteInputTokens` and `reasoningTokens` are parts of the totals, not additions to them.',
  fields: (t) => ({
    inputTokens: t.exposeInt('inputTokens', { description: 'The tokens that models read.' }),
    outputTokens: t.exposeInt('outputTokens', { description: 'The tokens that models wrote.' }),
    totalTokens: t.int({
      description: 'The sum of `inputTokens` and `outputTokens`.',
      resolve: (usage) => usage.inputTokens + usage.outputTokens,
    }),
    cachedInputTokens: t.exposeInt('cachedInputTokens', {
      description: 'The part of the input tokens that the provider read from its cache.',
    }),
    cacheWriteInputTokens: t.exposeInt('cacheWriteInputTokens', {
      description: 'The part of the input tokens that the provider wrote to its cache.',
    }),
    reasoningTokens: t.exposeInt('reasoningTokens', {
      description: 'The part of the output tokens that was reasoning.',
    }),
    modelCalls: t.exposeInt('modelCalls', { description: 'The number of model calls that are counted.' }),
    complete: t.exposeBoolean('complete', {
      description: 'Whether every model call reported its tokens. If false, the counts are too low.',
    }),
  }),
});
