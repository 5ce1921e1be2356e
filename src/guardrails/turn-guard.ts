import type { Guarded, GuardReport, GuardResult, TextGuard, TurnGuard } from '../engine/guard.ts';
import { isDeeperThan } from '../engine/json.ts';
import type { RequestedCall, ToolOutcome } from '../engine/ports.ts';
import { type CheckOptions, checkArguments, checkJson, checkText } from './check-text.ts';
import type { Guardrail, GuardrailStage } from './config.ts';
import { FewAtOnce } from './few-at-once.ts';
import { OutputFilter } from './output-filter.ts';
import type { PlannedGuardrail } from './planned.ts';

/** Nothing that walks the result of a tool goes deeper. */
const maxDepth = 100;

/** So many calls and results of a turn are checked at the same time: each may be a request for each of its guardrails. */
const checksAtOnce = 4;

/** The guardrails of the agents of a turn, by row id; an agent that has none may be absent. */
export type GuardsByAgent = ReadonlyMap<string, readonly PlannedGuardrail[]>;

interface GuardOptions {
  readonly earlier: readonly GuardResult[];
  readonly inputCheckedFor: string | null;
  readonly timeoutMs: number;
}

/**
 * Carries out the guardrails of a turn.
 * @param options.earlier the results of the checks of the user's text before the turn was stored
 * @param options.inputCheckedFor the agent for which the text of the user was checked before a pause; null: none
 * @param options.timeoutMs how long a provider may take for a check
 * @returns null: the turn has no guardrails
 */
export function openTurnGuard(agents: GuardsByAgent, options: GuardOptions): TurnGuard | null {
  return [...agents.values()].some((guards) => guards.length > 0) ? new Guards(agents, options) : null;
}

class Guards implements TurnGuard {
  readonly #agents: GuardsByAgent;
  readonly #timeoutMs: number;
  readonly #checks = new FewAtOnce(checksAtOnce);
  #earlier: readonly GuardResult[];
  /** The guardrails of the scenario belong to each agent; the text of the user is checked once. */
  readonly #inputChecked: Set<Guardrail>;

  constructor(agents: GuardsByAgent, options: GuardOptions) {
    this.#agents = agents;
    this.#timeoutMs = options.timeoutMs;
    this.#earlier = options.earlier;
    const checked = options.inputCheckedFor === null ? [] : this.#find(options.inputCheckedFor, 'INPUT');
    this.#inputChecked = new Set(checked.map(({ config }) => config));
  }

  checkInput(agentId: string, text: string, signal: AbortSignal): Promise<Guarded<string>> | null {
    const guards = this.#inputGuards(agentId, false);
    const earlier = this.#earlier;
    this.#earlier = [];
    if (guards.length === 0 && earlier.length === 0) return null;
    return checkText(guards, text, this.#options('INPUT', agentId, signal)).then((checked) => {
      // What was found and replaced before is not reported as passed.
      const isNew = ({ guardrail, tripwireTriggered }: GuardResult) =>
        tripwireTriggered || !earlier.some((before) => before.guardrail === guardrail);
      return { ...checked, results: [...earlier, ...checked.results.filter(isNew)] };
    });
  }

  watchInput(agentId: string, text: string, signal: AbortSignal): Promise<GuardReport> | null {
    const guards = this.#inputGuards(agentId, true);
    return guards.length === 0 ? null : checkText(guards, text, this.#options('INPUT', agentId, signal));
  }

  openOutput(agentId: string): TextGuard | null {
    const guards = this.#find(agentId, 'OUTPUT');
    return guards.length === 0 ? null : new OutputFilter({ agentId, guards, timeoutMs: this.#timeoutMs });
  }

  openReasoning(agentId: string): TextGuard | null {
    const guards = this.#find(agentId, 'OUTPUT');
    const options = { agentId, guards, timeoutMs: this.#timeoutMs, isReasoning: true };
    return guards.length === 0 ? null : new OutputFilter(options);
  }

  checkCalls(
    agentId: string,
    calls: readonly RequestedCall[],
    signal: AbortSignal,
  ): Promise<Guarded<readonly RequestedCall[]>> | null {
    const guards = this.#find(agentId, 'TOOL_INPUT');
    if (guards.length === 0 || calls.length === 0) return null;
    const options = this.#options('TOOL_INPUT', agentId, signal);
    const check = (call: RequestedCall) => this.#checks.run(() => checkArguments(guards, call.arguments, options));
    return Promise.all(calls.map(check)).then((checked) => {
      const value = calls.map((call, index) => ({ ...call, arguments: checked[index]?.value ?? call.arguments }));
      return {
        value,
        isRedacted: checked.some(({ isRedacted }) => isRedacted),
        // One result for each guardrail, and each of those that found something.
        results: keepOnePass(checked.flatMap(({ results }) => results)),
        calls: checked.flatMap((each) => each.calls),
        blockedBy: checked.find(({ blockedBy }) => blockedBy !== null)?.blockedBy ?? null,
      };
    });
  }

  checkOutcome(agentId: string, outcome: ToolOutcome, signal: AbortSignal): Promise<Guarded<ToolOutcome>> | null {
    const guards = this.#find(agentId, 'TOOL_OUTPUT');
    if (guards.length === 0) return null;
    const options = this.#options('TOOL_OUTPUT', agentId, signal);
    return this.#checks.run(() => checkToolOutcome(guards, outcome, options));
  }

  #find(agentId: string, stage: GuardrailStage): PlannedGuardrail[] {
    return (this.#agents.get(agentId) ?? []).filter(({ config }) => config.stages.includes(stage));
  }

  #inputGuards(agentId: string, isBeside: boolean): PlannedGuardrail[] {
    const guards = this.#find(agentId, 'INPUT').filter(
      (guard) => (guard.config.mode === 'PARALLEL') === isBeside && !this.#inputChecked.has(guard.config),
    );
    for (const guard of guards) this.#inputChecked.add(guard.config);
    return guards;
  }

  #options(stage: GuardrailStage, agentId: string, signal: AbortSignal): CheckOptions {
    return { stage, agentId, timeoutMs: this.#timeoutMs, signal };
  }
}

async function checkToolOutcome(
  guards: readonly PlannedGuardrail[],
  outcome: ToolOutcome,
  options: CheckOptions,
): Promise<Guarded<ToolOutcome>> {
  if (!outcome.ok) {
    return checkText(guards, outcome.error, options).then((checked) => ({
      ...checked,
      value: { ok: false, error: checked.value },
    }));
  }
  const { result } = outcome;
  const json = writeJson(result);
  // What is no JSON is not passed on (tool-result.ts); what is nested deeper is passed on as text.
  if (json === undefined) return checkText([], '', options).then((checked) => ({ ...checked, value: outcome }));
  const check: Promise<Guarded<unknown>> = isDeeperThan(json, maxDepth)
    ? checkText(guards, json, options).then((checked) => (checked.isRedacted ? checked : { ...checked, value: result }))
    : checkJson(guards, JSON.parse(json), options);
  return check.then((checked) => ({ ...checked, value: { ok: true, result: checked.value } }));
}

function keepOnePass(results: readonly GuardResult[]): GuardResult[] {
  const passed = new Set<string>();
  return results.filter(({ guardrail, tripwireTriggered }) => {
    if (tripwireTriggered) return true;
    if (passed.has(guardrail) || results.some((other) => other.tripwireTriggered && other.guardrail === guardrail))
      return false;
    passed.add(guardrail);
    return true;
  });
}

function writeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return undefined;
  }
}

/**
 * Checks the text of a user before it is stored anywhere: what REDACT guardrails find by themselves is replaced in it. What
 * needs a provider, and what blocks, is for the turn.
 */
export function checkBeforeStoring(
  agentId: string,
  guards: readonly PlannedGuardrail[],
  text: string,
): Promise<Guarded<string>> | null {
  const finding = guards.filter(
    ({ config, matcher }) => matcher !== null && config.action === 'REDACT' && config.stages.includes('INPUT'),
  );
  if (finding.length === 0) return null;
  const signal = new AbortController().signal;
  return checkText(finding, text, { stage: 'INPUT', agentId, timeoutMs: 0, signal });
}
