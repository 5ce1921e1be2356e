import { builder } from '../../graphql/builder.ts';

/** Where texts are checked, in the graph. */
export const GuardrailStage = builder.enumType('GuardrailStage', {
  description: 'Which text a guardrail checks.',
  values: {
    INPUT: { description: 'The text of the user, for each agent that becomes active.' },
    OUTPUT: {
      description: 'The answer of an agent, while it is written. The reasoning of the model is checked like it.',
    },
    TOOL_INPUT: { description: 'The arguments of the calls that a model asks for, handoffs included.' },
    TOOL_OUTPUT: { description: 'What a tool returned.' },
  } as const,
});

/** What happens with a flagged text, in the graph. */
export const ModerationAction = builder.enumType('ModerationAction', {
  description: 'What happens with a text that is flagged.',
  values: {
    ALLOW: { description: 'The text passes. A flagged text is only recorded.' },
    BLOCK: { description: 'The run fails with the code GUARDRAIL_TRIPPED, and later turns do not see it.' },
    REDACT: {
      description:
        'What was found is replaced, by `[EMAIL]` and the like or `[REDACTED]`, in all that is stored, delivered and sent to models. A check by a provider finds no part: the whole text is replaced, or the part of it that was asked about.',
    },
  } as const,
});

/** When texts are checked, in the graph. */
export const GuardrailMode = builder.enumType('GuardrailMode', {
  description: 'When a text is checked.',
  values: {
    BLOCKING: { description: 'INPUT: before the model is asked. OUTPUT: before anything of the message is delivered.' },
    PARALLEL: {
      description:
        'INPUT: beside the model; no tool is called and no message is completed before the check has passed. OUTPUT: what was delivered is withdrawn with TextRetracted. Texts of tools are always checked before they are used.',
    },
    HOLD_BACK: {
      description: 'OUTPUT: sentence by sentence, or by `window`; nothing is delivered unchecked. INPUT: as BLOCKING.',
    },
  } as const,
});

/** What a failed check stands for, in the graph. */
export const GuardrailOnError = builder.enumType('GuardrailOnError', {
  description: 'What happens if the provider of a check fails or takes longer than 10 seconds.',
  values: {
    CLOSED: { description: 'The run fails with the code GUARDRAIL_TRIPPED.' },
    OPEN: { description: 'The text passes. The result says that the check failed.' },
  } as const,
});

/** Kinds of personal data, in the graph. */
export const PiiKind = builder.enumType('PiiKind', {
  description: 'A kind of personal data that is recognised by its form and, if it has any, its check digits.',
  values: {
    EMAIL: { description: 'An e-mail address.' },
    PHONE: { description: 'A telephone number: international, with a leading 0, or of North America.' },
    CREDIT_CARD: { description: 'A card number of 13 to 19 digits with a valid check digit.' },
    IBAN: { description: 'An IBAN with valid check digits.' },
    IP_ADDRESS: { description: 'An IPv4 or IPv6 address.' },
    NATIONAL_ID: {
      description:
        'A national identity or tax number of Germany, France, Italy, Poland, Spain, Sweden, the United Kingdom or the United States.',
    },
  } as const,
});
