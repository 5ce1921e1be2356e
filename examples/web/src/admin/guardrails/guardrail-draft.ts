import type {
  GuardrailCheckInput,
  GuardrailDetailsFragment,
  GuardrailInput,
  GuardrailMode,
  GuardrailOnError,
  GuardrailStage,
  ModerationAction,
  PiiKind,
} from '../generated/graphql.ts';
import { readNumber, readText } from '../parts/json.ts';

type CheckKind = 'pii' | 'patterns' | 'moderation' | 'classifier';

/** A guardrail as it stands in its form: with the fields of all kinds of checks, of which one counts. */
export interface GuardrailDraft {
  readonly name: string;
  readonly stages: readonly GuardrailStage[];
  readonly action: ModerationAction;
  readonly mode: GuardrailMode;
  readonly onError: GuardrailOnError;
  readonly window: string;
  readonly kind: CheckKind;
  readonly kinds: readonly PiiKind[];
  /** One in each line. */
  readonly patterns: string;
  readonly model: string;
  /** One in each line. */
  readonly categories: string;
  readonly threshold: string;
  readonly question: string;
  readonly agentId: string;
}

/** A new guardrail. */
export const emptyGuardrail: GuardrailDraft = {
  name: '',
  stages: ['INPUT'],
  action: 'BLOCK',
  mode: 'BLOCKING',
  onError: 'CLOSED',
  window: '',
  kind: 'pii',
  kinds: ['EMAIL'],
  patterns: '',
  model: 'omni-moderation-latest',
  categories: '',
  threshold: '',
  question: '',
  agentId: '',
};

/** A stored guardrail, as its form begins. */
export function draftGuardrail({ check, window, ...rest }: GuardrailDetailsFragment): GuardrailDraft {
  const draft = { ...emptyGuardrail, ...rest, window: String(window ?? '') };
  switch (check.__typename) {
    case 'PiiCheck':
      return { ...draft, kind: 'pii', kinds: check.kinds };
    case 'PatternCheck':
      return { ...draft, kind: 'patterns', patterns: check.patterns.join('\n') };
    case 'ModerationCheck': {
      const { model, categories, threshold } = check;
      return {
        ...draft,
        kind: 'moderation',
        model,
        categories: categories.join('\n'),
        threshold: String(threshold ?? ''),
      };
    }
    case 'ClassifierCheck':
      return { ...draft, kind: 'classifier', question: check.question, agentId: check.agent.id };
  }
}

/** What is saved of it. */
export function readGuardrail(draft: GuardrailDraft): GuardrailInput {
  const { name, stages, action, mode, onError, window } = draft;
  return {
    name: name.trim(),
    stages: [...stages],
    action,
    mode,
    onError,
    window: readNumber(window),
    check: readCheck(draft),
  };
}

function readCheck(draft: GuardrailDraft): GuardrailCheckInput {
  switch (draft.kind) {
    case 'pii':
      return { pii: [...draft.kinds] };
    case 'patterns':
      return { patterns: readLines(draft.patterns) };
    case 'moderation': {
      const categories = readLines(draft.categories);
      return {
        moderation: {
          model: readText(draft.model),
          categories: categories.length > 0 ? categories : null,
          threshold: readNumber(draft.threshold),
        },
      };
    }
    case 'classifier':
      return { classifier: { question: draft.question, agentId: draft.agentId } };
  }
}

const readLines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');
