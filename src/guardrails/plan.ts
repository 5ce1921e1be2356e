import { LRUCache } from 'lru-cache';
import type { ModelEndpoint } from '../engine/ports.ts';
import { askClassifier, askModeration, askNobody, type Classifier, type GuardrailProviders } from './ask.ts';
import type { Guardrail } from './config.ts';
import { compileMatcher, type TextMatcher } from './find.ts';
import type { PlannedGuardrail } from './planned.ts';

/** Compiled once for as long as it is used, by what it says: each turn reads its guardrails anew. */
const matchers = new LRUCache<string, TextMatcher>({
  max: 1_000,
  // By the length of what is compiled: 50,000 characters of patterns at most for a guardrail, of some 100 bytes each.
  maxSize: 500_000,
});

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

function findMatcher({ check }: Guardrail): TextMatcher | null {
  if (check.type === 'MODERATION' || check.type === 'CLASSIFIER') return null;
  const key = JSON.stringify(check);
  const known = matchers.get(key);
  if (known !== undefined) return known;
  const matcher = compileMatcher(check);
  if (matcher) matchers.set(key, matcher, { size: key.length });
  return matcher;
}

function planQuestion({ check }: Guardrail, { providers, endpoint, classifiers }: PlanOptions) {
  if (check.type === 'MODERATION')
    return endpoint ? askModeration(check, endpoint, providers) : askNobody('the agent has no usable provider');
  const classifier = check.type === 'CLASSIFIER' ? classifiers.get(check.agentId) : undefined;
  if (check.type !== 'CLASSIFIER' || !classifier) return askNobody('the agent that classifies cannot be used');
  return askClassifier(check.question, classifier, providers);
}
