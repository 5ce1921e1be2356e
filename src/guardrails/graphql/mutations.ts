import { builder } from '../../graphql/builder.ts';
import { ModerationDecisionRef } from '../../graphql/refs.ts';
import { moderate } from '../moderate/moderate.ts';
import { GuardrailStage } from './enums.ts';

const ModerateInput = builder.inputType('ModerateInput', {
  description: 'A text to check, and whose guardrails are to check it.',
  fields: (t) => ({
    text: t.string({ required: true, description: 'The text, 1 to 100,000 characters.' }),
    stage: t.field({
      type: GuardrailStage,
      defaultValue: 'INPUT',
      description: 'The guardrails of this stage check the text.',
    }),
    scenarioKey: t.string({
      description: 'The scenario whose guardrails are meant. Example: `support`. If omitted, those of the agent alone.',
    }),
    agentId: t.id({
      description:
        'The agent whose guardrails are meant beside those of the scenario. If omitted, the root agent of the scenario or, without a scenario, the default agent.',
    }),
  }),
});

builder.mutationField('moderate', (t) =>
  t.field({
    type: ModerationDecisionRef,
    description:
      'Checks a text with the guardrails of an agent and a scenario, outside of any turn. Nothing of the text is stored; what classifiers use is part of `viewer.usage`. Limited by RATE_LIMIT_TURNS.',
    args: { input: t.arg({ type: ModerateInput, required: true, description: 'The text.' }) },
    resolve: (_root, args, context) => moderate(context.viewer, context.runs, args.input, context.signal),
  }),
);
