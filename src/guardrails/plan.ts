import type { ModelEndpoint } from '../engine/ports.ts';
import { askClassifier, askModeration, askNobody, type Classifier, type GuardrailProviders } from './ask.ts';
import type { Guardrail } from './config.ts';
import { compileMatcher, type TextMatcher } from './find.ts';
import type { PlannedGuardrail } from './planned.ts';

/** Compiled once for as long as the configuration is remembered. */
const matchers = new WeakMap<Guardrail, TextMatcher | null>();

/** Whom guardrails ask. */
export interface PlanOptions {
  readonly providers: GuardrailProviders;
  /** The endpoint of the agent that is guarded; null: it cannot be used. */
  readonly endpoint: ModelEndpoint | null;
  /** The agents that classify, by row id, if they can be used. */
  readonly classifiers: ReadonlyMap<string, Classifier>;
}

/** The guardrails of an agent as a turn uses them. */
export function planGuardrails(guardrails: readonly Guardrail[], options: PlanOptions): PlannedGuardrail[] {
  return guardrails.map((config) => {
    const matcher = findMatcher(config);
    return matcher ? { config, matcher, ask: null } : { config, matcher: null, ask: planQuestion(config, options) };
  });
}

function findMatcher(config: Guardrail): TextMatcher | null {
  const known = matchers.get(config);
  if (known !== undefined) return known;
  const matcher = compileMatcher(config.check);
  matchers.set(config, matcher);
  return matcher;
}

function planQuestion({ check }: Guardrail, { providers, endpoint, classifiers }: PlanOptions) {
  if (check.type === 'MODERATION')
    return endpoint ? askModeration(check, endpoint, providers) : askNobody('the agent has no usable provider');
  const classifier = check.type === 'CLASSIFIER' ? classifiers.get(check.agentId) : undefined;
  if (check.type !== 'CLASSIFIER' || !classifier) return askNobody('the agent that classifies cannot be used');
  return askClassifier(check.question, classifier, providers);
}
