import { randomUUIDv7 } from 'node:crypto';
import { raceAbort } from '../engine/abort.ts';
import type { GuardDecision, GuardModelCall, GuardReport, GuardResult, GuardStage } from '../engine/guard.ts';
import { type Finding, findIn, redact } from './find.ts';
import { type AskProvider, CheckFailed, type Judgement, type PlannedGuardrail } from './planned.ts';
import { type QuestionBudget, tooManyQuestions } from './questions.ts';

/** Characters of the end of a text that a provider is asked about. */
const maxAskedLength = 20_000;
/** Characters of a classifier's reasoning that are kept. */
const maxReasoningLength = 500;

/** What a provider is asked with. */
export interface AskOptions {
  /** How long a check may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** How often the turn may still ask; unset: there is no turn. */
  readonly questions?: QuestionBudget | undefined;
}

/** What became of a question to a provider. */
type Verdict = 'passed' | 'flagged' | 'failed closed';

/** Collects the results of the guardrails of one text, each guardrail's first finding and the passes at the end. */
export class GuardReporter {
  readonly #stage: GuardStage;
  readonly #agentId: string;
  readonly #guards: readonly PlannedGuardrail[];
  readonly #reported = new Set<PlannedGuardrail>();
  #results: GuardResult[] = [];
  #calls: GuardModelCall[] = [];
  #blockedBy: string | null = null;

  constructor(stage: GuardStage, agentId: string, guards: readonly PlannedGuardrail[]) {
    this.#stage = stage;
    this.#agentId = agentId;
    this.#guards = guards;
  }

  /** Whether a guardrail has stopped the turn. */
  get isBlocked(): boolean {
    return this.#blockedBy !== null;
  }

  /** Notes what a guardrail found by itself. */
  noteFindings(guard: PlannedGuardrail, findings: readonly Finding[]): void {
    const labels = [...new Set(findings.map(({ label }) => label))];
    const categories = labels.map((name) => ({ name, flagged: true, score: 1 }));
    this.#note(guard, true, { categories, reasoning: `Found: ${labels.join(', ')}.` });
  }

  /**
   * Asks the provider of a guardrail, and notes what it says.
   * @throws the signal's reason if it is aborted
   */
  async ask(
    guard: PlannedGuardrail & { readonly ask: AskProvider },
    text: string,
    options: AskOptions,
  ): Promise<Verdict> {
    const { timeoutMs, signal, questions } = options;
    if (questions?.take() === false) return this.#noteFailure(guard, tooManyQuestions);
    const deadline = AbortSignal.timeout(timeoutMs);
    let judgement: Judgement;
    try {
      const stop = AbortSignal.any([signal, deadline]);
      judgement = await raceAbort(guard.ask(text.slice(-maxAskedLength).toWellFormed(), stop), stop);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CheckFailed) && !deadline.aborted) throw error;
      if (error instanceof CheckFailed && error.call) this.#calls.push(error.call);
      const why = error instanceof CheckFailed ? error.message : `no answer within ${timeoutMs / 1000} seconds`;
      return this.#noteFailure(guard, why);
    }
    if (judgement.call) this.#calls.push(judgement.call);
    const { flagged, categories } = judgement;
    if (!flagged) return 'passed';
    this.#note(guard, true, { categories, reasoning: this.#clean(judgement.reasoning, text) });
    return 'flagged';
  }

  /** Notes that what was not reported has passed. */
  notePasses(): void {
    for (const guard of this.#guards) {
      if (!this.#reported.has(guard)) this.#note(guard, false, { categories: [], reasoning: null });
    }
  }

  /** What was noted since it was last taken. */
  take(): GuardReport {
    const report = { results: this.#results, calls: this.#calls, blockedBy: this.#blockedBy };
    this.#results = [];
    this.#calls = [];
    return report;
  }

  #noteFailure(guard: PlannedGuardrail, why: string): Verdict {
    const isClosed = guard.config.onError === 'CLOSED';
    const { name } = guard.config;
    const outcome = isClosed ? 'The text is treated as flagged (onError CLOSED).' : 'The text passed (onError OPEN).';
    if (isClosed) this.#blockedBy ??= name;
    if (!this.#reported.has(guard)) {
      this.#reported.add(guard);
      const reasoning = `The check failed: ${why}. ${outcome}`;
      const action = isClosed ? 'BLOCK' : 'ALLOW';
      this.#push(name, isClosed, { flagged: isClosed, action, categories: [], reasoning });
    }
    return isClosed ? 'failed closed' : 'passed';
  }

  #note(guard: PlannedGuardrail, flagged: boolean, about: Pick<GuardDecision, 'categories' | 'reasoning'>): void {
    const { name, action } = guard.config;
    if (flagged && action === 'BLOCK') this.#blockedBy ??= name;
    if (this.#reported.has(guard)) return;
    this.#reported.add(guard);
    this.#push(name, flagged, { flagged, action: flagged ? action : 'ALLOW', ...about });
  }

  #push(guardrail: string, tripwireTriggered: boolean, decision: GuardDecision): void {
    const [stage, agentId] = [this.#stage, this.#agentId];
    this.#results.push({ id: randomUUIDv7(), guardrail, stage, agentId, tripwireTriggered, decision, at: new Date() });
  }

  /** A classifier may quote what it flagged: then its words are left out, and what the other guardrails find is replaced. */
  #clean(reasoning: string | null, text: string): string | null {
    if (reasoning === null || isQuoting(reasoning, text)) return null;
    const findings = this.#guards.flatMap(({ matcher }) => (matcher ? findIn(reasoning, matcher) : []));
    return redact(reasoning, findings).slice(0, maxReasoningLength).toWellFormed();
  }
}

/** So many characters of a text are no coincidence. */
const quoteLength = 16;

function isQuoting(reasoning: string, text: string): boolean {
  for (let at = 0; at + quoteLength <= reasoning.length; at++) {
    if (text.includes(reasoning.slice(at, at + quoteLength))) return true;
  }
  return false;
}
