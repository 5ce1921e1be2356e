import { builder } from '../../graphql/builder.ts';
import { GuardrailInputRef } from '../../graphql/refs.ts';
import { GuardrailMode, GuardrailOnError, GuardrailStage, ModerationAction, PiiKind } from './enums.ts';

const ModerationCheckInput = builder.inputType('ModerationCheckInput', {
  description: 'A check by the Moderations API of the agent’s provider.',
  fields: (t) => ({
    model: t.string({
      defaultValue: 'omni-moderation-latest',
      description: 'The moderation model, 1 to 200 characters.',
    }),
    categories: t.stringList({
      description: 'The categories that count, at most 50. Example: `["violence"]`. If omitted, all.',
    }),
    threshold: t.float({
      description: 'The score from 0 to 1 from which a category is flagged. If omitted, the provider decides.',
    }),
  }),
});

const ClassifierCheckInput = builder.inputType('ClassifierCheckInput', {
  description: 'A check by an agent, which answers a question about the text with yes or no.',
  fields: (t) => ({
    agentId: t.id({
      required: true,
      description:
        'The agent whose model is asked: active, and shared if the guardrail belongs to a scenario or a shared agent. It cannot be deleted as long as it is used.',
    }),
    question: t.string({
      required: true,
      description:
        'The question, 1 to 2,000 characters. Example: `Does the text ask for medical advice?`. The text is flagged if the answer is yes.',
    }),
  }),
});

const GuardrailCheckInput = builder.inputType('GuardrailCheckInput', {
  description: 'Exactly one of these.',
  isOneOf: true,
  fields: (t) => ({
    moderation: t.field({ type: ModerationCheckInput, description: 'A check by the Moderations API.' }),
    classifier: t.field({ type: ClassifierCheckInput, description: 'A check by an agent.' }),
    patterns: t.stringList({
      description:
        'A check by regular expressions in the syntax of RE2 (no lookaround, no back references): 1 to 50, each of 1 to 1,000 characters. Case counts, unless a pattern begins with `(?i)`. Each text is matched as it was written and in its normalised form: without invisible characters, with entities of HTML decoded, and with compatibility characters replaced (NFKC).',
    }),
    pii: t.field({ type: [PiiKind], description: 'A check for personal data: at least one kind.' }),
  }),
});

GuardrailInputRef.implement({
  description: 'What checks a text, when, and what then happens.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'The name, 1 to 100 characters. Users see it if the guardrail stops a turn.',
    }),
    stages: t.field({
      type: [GuardrailStage],
      required: true,
      description: 'Which texts are checked: at least one.',
    }),
    check: t.field({ type: GuardrailCheckInput, required: true, description: 'How they are checked.' }),
    action: t.field({
      type: ModerationAction,
      defaultValue: 'BLOCK',
      description: 'What happens with a text that is flagged.',
    }),
    mode: t.field({
      type: GuardrailMode,
      defaultValue: 'BLOCKING',
      description: 'When the texts are checked. PARALLEL is refused at INPUT with the action REDACT.',
    }),
    window: t.int({
      description:
        'How many characters HOLD_BACK holds back, 1 to 4,000; for a check that asks a provider, at least 200. It should be at least as long as what is searched for. If omitted, to the end of the sentence. With another mode, it is refused.',
    }),
    onError: t.field({
      type: GuardrailOnError,
      defaultValue: 'CLOSED',
      description: 'What happens if the provider of the check fails.',
    }),
  }),
});
