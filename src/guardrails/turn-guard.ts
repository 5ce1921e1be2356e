import { createHash } from 'node:crypto';
import type { Guarded, GuardReport, GuardResult, TextGuard, TurnGuard, UserInput } from '../engine/guard.ts';
import { isDeeperThan } from '../engine/json.ts';
import type { FileText, RequestedCall, ToolOutcome } from '../engine/ports.ts';
import { type CheckOptions, checkArguments, checkJson, checkText, checkValue } from './check-text.ts';
import type { Guardrail, GuardrailStage } from './config.ts';
import { FewAtOnce } from './few-at-once.ts';
import { checkMessage, type MessageTexts } from './message-texts.ts';
import { OutputFilter } from './output-filter.ts';
import type { PlannedGuardrail } from './planned.ts';
import { QuestionBudget } from './questions.ts';

/** Nothing that walks the result of a tool goes deeper. */
const maxDepth = 100;

/** So many calls and results of a turn are checked at the same time: each may be a request for each of its guardrails. */
const checksAtOnce = 4;

/** The guardrails of the agents of a turn, by row id; an agent that has none may be absent. */
export type GuardsByAgent = ReadonlyMap<string, readonly PlannedGuardrail[]>;

/** What was checked of the user's text before this process carries the turn out. */
export interface EarlierChecks {
  /** The results that are still to be reported. */
  readonly results: readonly GuardResult[];
  /** The guardrail that stops the turn; null: none. */
  readonly blockedBy: string | null;
  /** The guardrails that have checked the text before it was stored, by their fingerprints. */
  readonly fingerprints: readonly string[];
  /** The guardrails of agents that have checked it since, before a pause or for a process that has died. */
  readonly checked: readonly Pick<GuardResult, 'agentId' | 'guardrail'>[];
}

/** Nothing was checked before. */
export const nothingChecked: EarlierChecks = { results: [], blockedBy: null, fingerprints: [], checked: [] };

interface GuardOptions {
  readonly earlier: EarlierChecks;
  readonly timeoutMs: number;
}

/**
 * Carries out the guardrails of a turn.
 * @param options.earlier what was checked of the text of the user before: it is not checked again
 * @param options.timeoutMs how long a provider may take for a check
 * @returns null: the turn has no guardrails
 */
export function openTurnGuard(agents: GuardsByAgent, options: GuardOptions): TurnGuard | null {
  const isGuarded = options.earlier.blockedBy !== null || [...agents.values()].some((guards) => guards.length > 0);
  return isGuarded ? new Guards(agents, options) : null;
}

class Guards implements TurnGuard {
  readonly #agents: GuardsByAgent;
  readonly #timeoutMs: number;
  readonly #checks = new FewAtOnce(checksAtOnce);
  readonly #questions = new QuestionBudget();
  #earlier: EarlierChecks | null;
  /** By fingerprint: the guardrails of the scenario belong to each agent, and the text of the user is checked once. */
  readonly #inputChecked: Set<string>;

  constructor(agents: GuardsByAgent, { earlier, timeoutMs }: GuardOptions) {
    this.#agents = agents;
    this.#timeoutMs = timeoutMs;
    this.#earlier = earlier;
    const known = [...new Set(earlier.checked.map(({ agentId }) => agentId))].flatMap((agentId) =>
      this.#find(agentId, 'INPUT').filter(({ config }, _index, guards) => {
        // A scenario and an agent may have guardrails of the same name: then each of them has left a result.
        const isOfName = (name: string) => name === config.name;
        const results = earlier.checked.filter((each) => each.agentId === agentId && isOfName(each.guardrail));
        return results.length >= guards.filter((guard) => isOfName(guard.config.name)).length;
      }),
    );
    this.#inputChecked = new Set([...earlier.fingerprints, ...known.map(({ config }) => fingerprintOf(config))]);
  }

  checkInput(
    agentId: string,
    content: string,
    readFiles: () => Promise<readonly FileText[]>,
    signal: AbortSignal,
  ): Promise<Guarded<UserInput>> | null {
    const unchanged = { content, files: [] };
    const earlier = this.#earlier;
    this.#earlier = null;
    if (earlier !== null && earlier.blockedBy !== null) {
      const { results, blockedBy } = earlier;
      return Promise.resolve({ value: unchanged, isRedacted: false, results, calls: [], blockedBy });
    }
    const guards = this.#inputGuards(agentId, false);
    const results = earlier?.results ?? [];
    if (guards.length === 0 && results.length === 0) return null;
    if (guards.length === 0)
      return Promise.resolve({ value: unchanged, isRedacted: false, results, calls: [], blockedBy: null });
    return readFiles()
      .then((files) => checkUserInput(guards, { content, files }, this.#options('INPUT', agentId, signal)))
      .then((checked) => ({ ...checked, results: [...results, ...checked.results] }));
  }

  watchInput(agentId: string, text: string, signal: AbortSignal): Promise<GuardReport> | null {
    const guards = this.#inputGuards(agentId, true);
    return guards.length === 0 ? null : checkText(guards, text, this.#options('INPUT', agentId, signal));
  }

  openOutput(agentId: string): TextGuard | null {
    const guards = this.#find(agentId, 'OUTPUT');
    return guards.length === 0
      ? null
      : new OutputFilter({ agentId, guards, timeoutMs: this.#timeoutMs, questions: this.#questions });
  }

  openReasoning(agentId: string): TextGuard | null {
    const guards = this.#find(agentId, 'OUTPUT');
    const options = { agentId, guards, timeoutMs: this.#timeoutMs, questions: this.#questions, isReasoning: true };
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

  checkData(agentId: string, data: unknown, signal: AbortSignal): Promise<Guarded<unknown>> | null {
    const guards = this.#find(agentId, 'OUTPUT');
    if (guards.length === 0) return null;
    return checkJson(guards, data, this.#options('OUTPUT', agentId, signal)).then((checked) => {
      // Its text has passed them already: that is not told twice.
      return { ...checked, results: checked.results.filter(({ tripwireTriggered }) => tripwireTriggered) };
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
      (guard) => isCheckedBeside(guard) === isBeside && !this.#inputChecked.has(fingerprintOf(guard.config)),
    );
    for (const { config } of guards) this.#inputChecked.add(fingerprintOf(config));
    return guards;
  }

  #options(stage: GuardrailStage, agentId: string, signal: AbortSignal): CheckOptions {
    return { stage, agentId, timeoutMs: this.#timeoutMs, signal, questions: this.#questions };
  }
}

const isChanged = (file: FileText, before: FileText | undefined) =>
  file.name !== before?.name || file.url !== before.url || file.text !== before.text;

/** Checks the text of a user and of the files as one. @returns of the files, those in which something was replaced */
async function checkUserInput(
  guards: readonly PlannedGuardrail[],
  input: UserInput,
  options: CheckOptions,
): Promise<Guarded<UserInput>> {
  const mapTexts = ({ content, files }: UserInput, map: (text: string) => string): UserInput => ({
    content: map(content),
    files: files.map((file) => ({
      ...file,
      name: map(file.name),
      url: file.url === null ? null : map(file.url),
      text: file.text === null ? null : map(file.text),
    })),
  });
  // The end of a long text is what providers are asked about: the user's own words. Names and addresses stand in lines below them.
  const write = ({ content, files }: UserInput) => [...files.flatMap(({ text }) => text ?? []), content].join('\n');
  const checked = await checkValue(guards, { value: input, mapTexts, write }, options);
  const { content, files } = checked.value;
  return {
    ...checked,
    value: { content, files: files.filter((file, index) => isChanged(file, input.files[index])) },
  };
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

/** Whether a guardrail checks the text of the user beside the model. What needs no provider takes no time worth it. */
function isCheckedBeside({ config, ask }: PlannedGuardrail): boolean {
  return config.mode === 'PARALLEL' && ask !== null;
}

/** Tells a guardrail from others, also from itself after it was changed. */
function fingerprintOf(config: Guardrail): string {
  return createHash('sha256').update(JSON.stringify(config)).digest('base64url');
}

/** Whether a guardrail checks the text of a user before it is stored: if the text is not checked beside the model. */
export function isCheckedBeforeStoring(guard: PlannedGuardrail): boolean {
  return guard.config.stages.includes('INPUT') && !isCheckedBeside(guard);
}

/**
 * The guardrails that check a text before it joins a turn that is under way: those of all agents, because the one that answers
 * may have changed by then, each once.
 */
export function listSteeringGuards(guards: GuardsByAgent): PlannedGuardrail[] {
  const checking = [...guards.values()].flat().filter(({ config }) => config.stages.includes('INPUT'));
  return [...new Map(checking.map((guard) => [fingerprintOf(guard.config), guard])).values()];
}

/** Whether all of these guardrails have checked a text. @param fingerprints those that have */
export function haveChecked(guards: readonly PlannedGuardrail[], fingerprints: readonly string[]): boolean {
  return guards.every(({ config }) => fingerprints.includes(fingerprintOf(config)));
}

/**
 * Checks the message of a user before it is stored. So a text that waits in a queue, or whose turn is cancelled, has been
 * checked as well.
 * @param checking which guardrails do
 * @returns also the fingerprints of the guardrails that did
 * @throws the signal's reason if it is aborted
 */
export async function checkBeforeStoring<Message extends MessageTexts>(
  checking: readonly PlannedGuardrail[],
  message: Message,
  options: Omit<CheckOptions, 'stage'>,
): Promise<Guarded<Message> & Pick<EarlierChecks, 'fingerprints'>> {
  const checked = await checkMessage(checking, message, { ...options, stage: 'INPUT' });
  return { ...checked, fingerprints: checking.map(({ config }) => fingerprintOf(config)) };
}
