import type { GuardResult } from '../../engine/guard.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, GuardrailRef, ModerationDecisionRef } from '../../graphql/refs.ts';
import type { GuardrailCheck } from '../config.ts';
import { GuardrailMode, GuardrailOnError, GuardrailStage, ModerationAction, PiiKind } from './enums.ts';

type CheckOf<Type extends GuardrailCheck['type']> = Extract<GuardrailCheck, { type: Type }>;

const ModerationCheck = builder.objectRef<CheckOf<'MODERATION'>>('ModerationCheck').implement({
  description: 'A check by the Moderations API of the agent’s provider.',
  fields: (t) => ({
    model: t.exposeString('model', { description: 'The moderation model. Example: `omni-moderation-latest`.' }),
    categories: t.stringList({
      description: 'The categories that count, such as `violence`. Empty: all.',
      resolve: ({ categories }) => [...categories],
    }),
    threshold: t.exposeFloat('threshold', {
      nullable: true,
      description: 'The score from 0 to 1 from which a category is flagged. Null: the provider decides.',
    }),
  }),
});

const ClassifierCheck = builder.objectRef<CheckOf<'CLASSIFIER'>>('ClassifierCheck').implement({
  description: 'A check by an agent, which answers a question about the text with yes or no.',
  fields: (t) => ({
    agent: t.field({
      type: AgentRef,
      description: 'The agent whose model is asked, with its instructions and without its tools.',
      resolve: async ({ agentId }, _args, context) => {
        const agent = await context.agents.load(agentId);
        if (agent === null) throw new Error(`Agent ${agentId} is referred to, but does not exist.`);
        return agent;
      },
    }),
    question: t.exposeString('question', { description: 'The question. The text is flagged if the answer is yes.' }),
  }),
});

const PatternCheck = builder.objectRef<CheckOf<'PATTERN'>>('PatternCheck').implement({
  description: 'A check by regular expressions in the syntax of RE2, each in time linear in the length of the text.',
  fields: (t) => ({
    patterns: t.stringList({
      description: 'The patterns. The text is flagged if one of them matches a part of it.',
      resolve: ({ patterns }) => [...patterns],
    }),
  }),
});

const PiiCheck = builder.objectRef<CheckOf<'PII'>>('PiiCheck').implement({
  description: 'A check for personal data.',
  fields: (t) => ({
    kinds: t.field({
      type: [PiiKind],
      description: 'What is searched for.',
      resolve: ({ kinds }) => [...kinds],
    }),
  }),
});

const GuardrailCheckUnion = builder.unionType('GuardrailCheck', {
  description: 'How a guardrail checks a text.',
  types: [ModerationCheck, ClassifierCheck, PatternCheck, PiiCheck],
  resolveType: ({ type }: GuardrailCheck) => {
    const types = {
      MODERATION: 'ModerationCheck',
      CLASSIFIER: 'ClassifierCheck',
      PATTERN: 'PatternCheck',
      PII: 'PiiCheck',
    } as const;
    return types[type];
  },
});

GuardrailRef.implement({
  description: 'What checks a text, when, and what then happens.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name, by which results are reported.' }),
    stages: t.field({
      type: [GuardrailStage],
      description: 'Which texts are checked.',
      resolve: ({ stages }) => [...stages],
    }),
    check: t.field({ type: GuardrailCheckUnion, description: 'How they are checked.', resolve: ({ check }) => check }),
    action: t.expose('action', { type: ModerationAction, description: 'What happens with a text that is flagged.' }),
    mode: t.expose('mode', { type: GuardrailMode, description: 'When the texts are checked.' }),
    window: t.exposeInt('window', {
      nullable: true,
      description: 'How many characters HOLD_BACK holds back. Null: to the end of the sentence.',
    }),
    onError: t.expose('onError', {
      type: GuardrailOnError,
      description: 'What happens if the provider of the check fails.',
    }),
  }),
});

const ModerationCategory = builder
  .objectRef<{ readonly name: string; readonly flagged: boolean; readonly score: number }>('ModerationCategory')
  .implement({
    description: 'What a check found, or looked for.',
    fields: (t) => ({
      name: t.exposeString('name', {
        description:
          'The provider’s name of the category, the kind of personal data, `pattern 1` for the first pattern, or `classifier`.',
      }),
      flagged: t.exposeBoolean('flagged', { description: 'Whether it was flagged.' }),
      score: t.exposeFloat('score', {
        description: 'The confidence that it applies, from 0 to 1. It is 1 for patterns and personal data.',
      }),
    }),
  });

ModerationDecisionRef.implement({
  description: 'What guardrails decided about a text.',
  fields: (t) => ({
    flagged: t.exposeBoolean('flagged', { description: 'Whether something was flagged.' }),
    action: t.expose('action', { type: ModerationAction, description: 'What happens with the text.' }),
    categories: t.field({
      type: [ModerationCategory],
      description: 'What was found, or looked for.',
      resolve: ({ categories }) => [...categories],
    }),
    reasoning: t.exposeString('reasoning', {
      nullable: true,
      description: 'Why, in one sentence, without the text that was flagged. Null if the check gave no reason.',
    }),
  }),
});

/** Results of guardrails in the graph. */
export const GuardrailResult = builder.objectRef<GuardResult>('GuardrailResult').implement({
  description: 'What one guardrail decided about one text.',
  fields: (t) => ({
    guardrail: t.exposeString('guardrail', { description: 'The name of the guardrail.' }),
    stage: t.expose('stage', { type: GuardrailStage, description: 'Which text was checked.' }),
    tripwireTriggered: t.exposeBoolean('tripwireTriggered', {
      description: 'Whether something was flagged, or the check failed and `onError` is CLOSED.',
    }),
    decision: t.field({
      type: ModerationDecisionRef,
      nullable: true,
      description: 'The decision in full. It is never null in this version.',
      resolve: ({ decision }) => decision,
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When the check ended.' }),
  }),
});
