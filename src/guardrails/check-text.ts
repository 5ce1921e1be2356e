import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Guarded, GuardStage } from '../engine/guard.ts';
import { type Finding, findIn, redact } from './find.ts';
import { parseArguments } from './json-texts.ts';
import { mapJson } from './map-json.ts';
import { patternPlaceholder, SearchTime } from './patterns.ts';
import type { PlannedGuardrail } from './planned.ts';
import type { QuestionBudget } from './questions.ts';
import { GuardReporter } from './reporter.ts';

/** What checking takes. */
export interface CheckOptions {
  readonly stage: GuardStage;
  readonly agentId: string;
  /** How long a provider may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** How often the turn may still ask providers; unset: there is no turn. */
  readonly questions?: QuestionBudget;
}

/** Replaces every text of a value by what a function makes of it. */
type MapTexts<Value> = (value: Value, map: (text: string) => string) => Value;

/** A value that is checked: its texts, and how it reads as a whole. */
interface Checked<Value> {
  readonly value: Value;
  readonly mapTexts: MapTexts<Value>;
  readonly write: (value: Value) => string;
}

/**
 * Checks a text that is whole. The guardrails that ask a provider see it without what the others have replaced; all of them
 * are asked at the same time.
 * @throws the signal's reason if it is aborted
 */
export function checkText(
  guards: readonly PlannedGuardrail[],
  text: string,
  options: CheckOptions,
): Promise<Guarded<string>> {
  return checkValue(guards, { value: text, mapTexts: (value, map) => map(value), write: (value) => value }, options);
}

/** As {@link checkText}, for a value that is JSON: each of its texts, keys and numbers is checked by itself. */
export function checkJson(
  guards: readonly PlannedGuardrail[],
  value: unknown,
  options: CheckOptions,
): Promise<Guarded<unknown>> {
  return checkValue<unknown>(
    guards,
    { value, mapTexts: mapJson, write: (json) => JSON.stringify(json) ?? '' },
    options,
  );
}

/** As {@link checkJson}, for arguments as a model wrote them; what is not JSON is checked as text. */
export async function checkArguments(
  guards: readonly PlannedGuardrail[],
  written: string,
  options: CheckOptions,
): Promise<Guarded<string>> {
  const parsed = parseArguments(written);
  if (parsed === undefined) return checkText(guards, written, options);
  const checked = await checkJson(guards, parsed.value, options);
  return { ...checked, value: checked.isRedacted || !parsed.isWhole ? JSON.stringify(checked.value) : written };
}

/** As {@link checkText}, for a value with several texts, each of which is matched by itself. */
export async function checkValue<Value>(
  guards: readonly PlannedGuardrail[],
  { value: original, mapTexts, write }: Checked<Value>,
  { stage, agentId, timeoutMs, signal, questions }: CheckOptions,
): Promise<Guarded<Value>> {
  const reporter = new GuardReporter(stage, agentId, guards);
  const mark = { isRedacted: false };
  const replace = (value: Value, map: (text: string) => string) => {
    mark.isRedacted = true;
    return mapTexts(value, map);
  };
  let value = original;
  const time = new SearchTime();
  for (const guard of guards) {
    const { matcher } = guard;
    if (matcher === null) continue;
    if (time.isLong) await nextTurn();
    signal.throwIfAborted();
    const findings: Finding[] = [];
    mapTexts(value, (text) => {
      findings.push(...findIn(text, matcher, time));
      return text;
    });
    if (findings.length === 0) continue;
    reporter.noteFindings(guard, findings);
    if (guard.config.action === 'REDACT') value = replace(value, (text) => redact(text, findIn(text, matcher, time)));
  }
  if (!reporter.isBlocked) {
    const text = write(value);
    const asking = guards.flatMap((guard) => (guard.ask === null ? [] : [guard]));
    const verdicts = await Promise.all(
      asking.map((guard) => reporter.ask(guard, text, { timeoutMs, signal, questions })),
    );
    const isFlagged = asking.some(({ config }, index) => verdicts[index] === 'flagged' && config.action === 'REDACT');
    if (isFlagged && !reporter.isBlocked) value = replace(value, () => patternPlaceholder);
  }
  if (!reporter.isBlocked) reporter.notePasses();
  return { ...reporter.take(), value, isRedacted: mark.isRedacted };
}
