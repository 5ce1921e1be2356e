import { UsageRef } from '../../graphql/refs.ts';

/** Token usage in the graph. */
export const Usage = UsageRef.implement({
  description:
    'Tokens that model calls took. The last three counts are parts of the totals, never additions. `complete` is false where a model call reported none.',
  fields: (t) => ({
    inputTokens: t.exposeInt('inputTokens', { description: 'Tokens that models read.' }),
    outputTokens: t.exposeInt('outputTokens', { description: 'Tokens that models wrote.' }),
    totalTokens: t.int({
      description: 'Input and output together.',
      resolve: (usage) => usage.inputTokens + usage.outputTokens,
    }),
    cachedInputTokens: t.exposeInt('cachedInputTokens', {
      description: 'The part of the input that the provider had in its cache.',
    }),
    cacheWriteInputTokens: t.exposeInt('cacheWriteInputTokens', {
      description: 'The part of the input that the provider put into its cache.',
    }),
    reasoningTokens: t.exposeInt('reasoningTokens', { description: 'The part of the output that was reasoning.' }),
    modelCalls: t.exposeInt('modelCalls', { description: 'How many model calls these are.' }),
    complete: t.exposeBoolean('complete', { description: 'Whether every model call reported its tokens.' }),
  }),
});
