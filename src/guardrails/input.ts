import { z } from 'zod';
import { decimal, type InputPath, integer, list, modelName, text } from '../api/input.ts';
import {
  type Guardrail,
  type GuardrailCheck,
  guardrailModes,
  guardrailOnErrors,
  guardrailStages,
  moderationActions,
  piiKinds,
} from './config.ts';
import { compilePatterns, isPatternProblem } from './patterns.ts';
import { minAskedLength } from './questions.ts';

/** The maximum number of guardrails of an agent, and of a scenario. */
const maxGuardrails = 20;
const maxPatterns = 50;
const maxCategories = 50;
/** The maximum number of characters that a guardrail can hold back. */
const maxWindow = 4_000;
const defaultModerationModel = 'omni-moderation-latest';

const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

function distinct<Item extends z.ZodType>(item: Item, max: number) {
  return list(item, max)
    .refine((items) => items.length > 0, 'must not be empty')
    .refine((items) => new Set(items).size === items.length, 'must not contain duplicates');
}

const patterns = distinct(text(1, 1_000), maxPatterns).superRefine((given, context) => {
  const result = compilePatterns(given);
  if (isPatternProblem(result)) context.addIssue({ code: 'custom', path: [result.index], message: result.message });
});

const moderation = z.strictObject({
  model: modelName.nullish(),
  categories: list(text(1, 100), maxCategories).nullish(),
  threshold: decimal(0, 1).nullish(),
});

/** How a classifier names its agent: by its public id in mutations, by its name in files. */
type ClassifierNaming = 'agentId' | 'agent';

function checkInput<Naming extends ClassifierNaming>(naming: Naming) {
  const classifier = z.strictObject({
    [naming]: z.string({ error: 'must name an agent' }),
    question: text(1, 2_000),
  });
  return z
    .strictObject({
      moderation: moderation.nullish(),
      classifier: classifier.nullish(),
      patterns: patterns.nullish(),
      pii: distinct(oneOf(piiKinds), piiKinds.length).nullish(),
    })
    .transform(({ moderation, classifier, patterns, pii }, context): GuardrailCheck => {
      const checks: GuardrailCheck[] = [];
      if (moderation) {
        const { model, categories, threshold } = moderation;
        checks.push({
          type: 'MODERATION',
          model: model ?? defaultModerationModel,
          categories: categories ?? [],
          threshold: threshold ?? null,
        });
      }
      if (classifier) {
        const { question, [naming]: agentId } = z.record(z.string(), z.string()).parse(classifier);
        checks.push({ type: 'CLASSIFIER', agentId: agentId ?? '', question: question ?? '' });
      }
      if (patterns) checks.push({ type: 'PATTERN', patterns });
      if (pii) checks.push({ type: 'PII', kinds: pii });
      const [check] = checks;
      if (check && checks.length === 1) return check;
      context.addIssue({
        code: 'custom',
        message: 'must have exactly one of moderation, classifier, patterns and pii',
      });
      return z.NEVER;
    });
}

function guardrailsOf(naming: ClassifierNaming) {
  const guardrail = z
    .strictObject({
      name: text(1, 100),
      stages: distinct(oneOf(guardrailStages), guardrailStages.length),
      check: checkInput(naming),
      action: oneOf(moderationActions).nullish(),
      mode: oneOf(guardrailModes).nullish(),
      window: integer(1, maxWindow).nullish(),
      onError: oneOf(guardrailOnErrors).nullish(),
    })
    .transform(
      ({ action, mode, window, onError, ...rest }): Guardrail => ({
        ...rest,
        action: action ?? 'BLOCK',
        mode: mode ?? 'BLOCKING',
        window: window ?? null,
        onError: onError ?? 'CLOSED',
      }),
    )
    .superRefine(({ stages, check, action, mode, window }, context) => {
      const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
      if (window !== null && mode !== 'HOLD_BACK') refuse('window', 'is for the mode HOLD_BACK only');
      const isAsking = check.type === 'MODERATION' || check.type === 'CLASSIFIER';
      if (isAsking && window !== null && window < minAskedLength)
        refuse(
          'window',
          `must be at least ${minAskedLength} for a check that asks a provider: each window is a request`,
        );
      if (mode === 'PARALLEL' && action === 'REDACT' && stages.includes('INPUT')) {
        refuse('mode', 'cannot be PARALLEL at INPUT with the action REDACT: the model would get the text as it was');
      }
    });
  return list(guardrail, maxGuardrails).superRefine((guardrails, context) => {
    const names = guardrails.map(({ name }) => name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) === index) continue;
      const message = `must be unique: there is already a guardrail named ${JSON.stringify(name)}`;
      context.addIssue({ code: 'custom', path: [index, 'name'], message });
    }
  });
}

/** A list of GuardrailInput. The `agentId` of a classifier is the public id, and still to be checked. */
export const guardrailInputs = guardrailsOf('agentId');

/** A list of guardrails as files describe them. The `agentId` of a classifier is the agent's name. */
export const guardrailsInFile = guardrailsOf('agent');

/** What can be written for {@link guardrailsInFile}. */
export type WrittenGuardrails = z.input<typeof guardrailsInFile>;

/**
 * The classifiers of guardrails.
 * @param path where the list stood
 */
export function listClassifiers(
  guardrails: readonly Guardrail[],
  path: InputPath,
): { readonly agentId: string; readonly path: InputPath }[] {
  return guardrails.flatMap(({ check }, index) => {
    if (check.type !== 'CLASSIFIER') return [];
    return [{ agentId: check.agentId, path: [...path, index, 'check', 'classifier', 'agentId'] }];
  });
}

/** The guardrails with the agents of their classifiers renamed. @param rename from what is named to the row id */
export function renameClassifiers(
  guardrails: readonly Guardrail[],
  rename: (agent: string) => string,
): readonly Guardrail[] {
  return guardrails.map((guardrail) => {
    const { check } = guardrail;
    if (check.type !== 'CLASSIFIER') return guardrail;
    return { ...guardrail, check: { ...check, agentId: rename(check.agentId) } };
  });
}

/** A guardrail as a file describes it: the reverse of {@link guardrailsInFile}. @param nameOf the name of an agent */
export function writeGuardrails(
  guardrails: readonly Guardrail[],
  nameOf: (agentId: string) => string,
): WrittenGuardrails {
  return guardrails.map(({ check, window, stages, ...rest }) => ({
    ...rest,
    stages: [...stages],
    check: writeCheck(check, nameOf),
    ...(window === null ? {} : { window }),
  }));
}

function writeCheck(check: GuardrailCheck, nameOf: (agentId: string) => string): WrittenGuardrails[number]['check'] {
  switch (check.type) {
    case 'MODERATION': {
      const { model, categories, threshold } = check;
      return { moderation: { model, categories: [...categories], ...(threshold === null ? {} : { threshold }) } };
    }
    case 'CLASSIFIER':
      return { classifier: { agent: nameOf(check.agentId), question: check.question } };
    case 'PATTERN':
      return { patterns: [...check.patterns] };
    case 'PII':
      return { pii: [...check.kinds] };
  }
}
