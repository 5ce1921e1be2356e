import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GuardedText, TextGuard } from '../engine/guard.ts';
import { type Finding, joinFindings } from './find.ts';
import { findSettledEnd, normalize } from './normalize.ts';
import { patternPlaceholder, SearchTime } from './patterns.ts';
import type { AskProvider, PlannedGuardrail } from './planned.ts';
import { QuestionBudget, QuestionSizes } from './questions.ts';
import { GuardReporter } from './reporter.ts';
import { findSentenceEnd, findWordStart, keepPairs } from './text-offsets.ts';

/** How far before what is held back a finding may begin to be seen while the text is written; at its end, all is seen. */
const lookback = 1_024;
/** How long deltas may be checked in one turn of the event loop, in milliseconds. */
const longMs = 10;
/** How often a text is cut shorter, so that what is shown is clean by itself. */
const maxShortenings = 20;

interface FilterOptions {
  readonly agentId: string;
  readonly guards: readonly PlannedGuardrail[];
  /** How long a check may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How often the turn may still ask providers; by default of this text alone. */
  readonly questions?: QuestionBudget;
  /** Whether it is reasoning, which cannot be withdrawn: nothing is shown before all is checked, whatever the modes say. */
  readonly isReasoning?: boolean;
}

type Asking = PlannedGuardrail & { readonly ask: AskProvider };
type Matching = Extract<PlannedGuardrail, { ask: null }>;
interface Found extends Finding {
  readonly guard: Matching;
}

/** A question about shown text, whose answer is not there yet. */
interface Pending {
  readonly end: number;
  readonly verdict: ReturnType<GuardReporter['ask']>;
  isSettled: boolean;
}

/**
 * Checks the text of an answer while it is written, and says what readers may see of it. What HOLD_BACK and BLOCKING
 * guardrails hold is not shown before they have passed it, and no beginning of it is shown that would be flagged by itself.
 * What PARALLEL guardrails find has been shown, and is withdrawn. Offsets are those of the text as the model wrote it.
 */
export class OutputFilter implements TextGuard {
  readonly #timeoutMs: number;
  readonly #budget: QuestionBudget;
  readonly #isReasoning: boolean;
  readonly #matching: readonly Matching[];
  readonly #holding: readonly Asking[];
  readonly #beside: readonly Asking[];
  /** How much of a text that is not whole may be shown, for each guardrail that holds something back. */
  readonly #limits: readonly ((text: string, from: number) => number)[];
  readonly #reporter: GuardReporter;
  readonly #pending = new Map<Asking, Pending>();
  readonly #askedUpTo = new Map<Asking, number>();
  readonly #questions = new QuestionSizes();
  #text = '';
  /** What is replaced, in the order of the text. */
  #cuts: Finding[] = [];
  /** Up to where the text was shown, and what was shown of it. */
  #released = 0;
  #shown = '';
  #begunAt = performance.now();
  /** Of one search of the text, with all guardrails. */
  #time = new SearchTime();

  constructor({ agentId, guards, timeoutMs, questions, isReasoning = false }: FilterOptions) {
    this.#budget = questions ?? new QuestionBudget();
    this.#timeoutMs = timeoutMs;
    this.#isReasoning = isReasoning;
    const modeOf = ({ config }: PlannedGuardrail) => (isReasoning ? 'BLOCKING' : config.mode);
    const asking = guards.filter((guard): guard is Asking => guard.ask !== null);
    this.#matching = guards.filter((guard): guard is Matching => guard.ask === null);
    this.#holding = asking.filter((guard) => modeOf(guard) !== 'PARALLEL');
    this.#beside = asking.filter((guard) => modeOf(guard) === 'PARALLEL');
    this.#limits = guards.flatMap((guard) => {
      const { window } = guard.config;
      if (modeOf(guard) === 'PARALLEL') return [];
      if (modeOf(guard) === 'BLOCKING') return [() => 0];
      if (guard.ask === null) return [window === null ? findSentenceEnd : (text: string) => text.length - window];
      // A provider is asked about a window or some sentences at a time, not about each token.
      return [(text: string, from: number) => this.#questions.findEnd(window, text, from)];
    });
    this.#reporter = new GuardReporter('OUTPUT', agentId, guards);
  }

  get isRedacted(): boolean {
    return this.#cuts.length > 0;
  }

  push(delta: string, signal: AbortSignal): Promise<GuardedText> {
    this.#text += delta;
    return this.#advance(false, signal);
  }

  async end(signal: AbortSignal): Promise<GuardedText> {
    return await this.#advance(true, signal);
  }

  async #advance(isEnd: boolean, signal: AbortSignal): Promise<GuardedText> {
    // Deltas arrive by the hundred: the others go on in between.
    if (performance.now() - this.#begunAt > longMs) {
      await nextTurn();
      signal.throwIfAborted();
      this.#begunAt = performance.now();
    }
    const { length } = this.#text;
    const from = this.#released;
    let limit = length;
    if (!isEnd) for (const allowed of this.#limits) limit = Math.min(limit, allowed(this.#text, from));
    limit = Math.max(limit, from);

    const shown = this.#shown;
    // A text that only PARALLEL guardrails look at is searched at the end of each sentence.
    const isDue = isEnd || (limit > from && (this.#limits.length > 0 || findSentenceEnd(this.#text, from) > from));
    if (isDue && this.#matching.length > 0) {
      this.#time = new SearchTime();
      limit = this.#match(limit, isEnd);
    }
    if (!this.#reporter.isBlocked && limit > from) limit = await this.#askBefore(limit, isEnd, signal);
    if (!this.#reporter.isBlocked) {
      this.#released = Math.max(limit, this.#released);
      await this.#askBeside(isEnd, signal);
    }
    // The text that follows the reasoning passes or not.
    if (isEnd && !this.#isReasoning && !this.#reporter.isBlocked) this.#reporter.notePasses();
    this.#shown = this.#render();
    return { ...this.#reporter.take(), ...findChange(shown, this.#shown) };
  }

  /**
   * Searches the text, and notes what is to be replaced.
   * @returns up to where it may be shown
   */
  #match(wanted: number, isEnd: boolean): number {
    const begin = isEnd ? 0 : findWordStart(this.#text, this.#released - lookback);
    const found = this.#find(this.#text.slice(begin), begin);
    const settled = findSettledEnd(this.#text);
    // What ends where the text ends may go on: it is decided when more of it is there.
    const isDecided = ({ end }: Found) => isEnd || end < settled;
    let limit = isEnd ? wanted : Math.min(wanted, settled);
    const cuts: Found[] = [];
    for (const finding of found) {
      const { action, mode } = finding.guard.config;
      if (!isDecided(finding)) {
        if (action !== 'ALLOW' && (mode !== 'PARALLEL' || this.#limits.length > 0))
          limit = Math.min(limit, finding.start);
        continue;
      }
      if (finding.start < limit || action === 'BLOCK') this.#reporter.noteFindings(finding.guard, [finding]);
      if (action === 'BLOCK') {
        this.#withdrawTo(finding.start);
        return this.#released;
      }
      if (action === 'REDACT') cuts.push(finding);
    }
    limit = Math.max(limit, this.#released);
    const joined = joinFindings(cuts);
    // What was shown already is replaced at once, and what is not shown yet is not cut in the middle.
    for (const { start, end } of joined) {
      if (start < this.#released) limit = Math.max(limit, end);
      else if (start < limit && end > limit) limit = start;
    }
    this.#cut(joined.filter(({ end }) => end <= limit));
    return isEnd || this.#limits.length === 0 ? limit : this.#shorten(limit, begin);
  }

  /** Shortens what is shown until it is clean by itself: "cat" of "cats" would be flagged, and nothing may follow it. */
  #shorten(wanted: number, begin: number): number {
    let limit = keepPairs(this.#text, wanted);
    for (let round = 0; round < maxShortenings && limit > this.#released; round++) {
      const flagged = this.#find(this.#text.slice(begin, limit), begin).filter(
        ({ guard, start, end }) =>
          guard.config.action !== 'ALLOW' && !this.#cuts.some((cut) => cut.start <= start && end <= cut.end),
      );
      if (flagged.length === 0) return limit;
      limit = Math.max(this.#released, Math.min(...flagged.map(({ start }) => start)));
      const inside = this.#cuts.find((cut) => cut.start < limit && limit < cut.end);
      if (inside) limit = Math.max(this.#released, inside.start);
    }
    return this.#released;
  }

  #find(part: string, begin: number): Found[] {
    const source = normalize(part);
    return this.#matching.flatMap((guard) =>
      guard.matcher
        .find(source, this.#time)
        // At the beginning of a part, an anchor matches that is none in the whole text.
        .filter(({ start }) => begin === 0 || start > 0)
        .map((finding) => ({ ...finding, guard, start: finding.start + begin, end: finding.end + begin })),
    );
  }

  /** Asks the providers about what is to be shown next. @returns up to where it may be shown */
  async #askBefore(limit: number, isEnd: boolean, signal: AbortSignal): Promise<number> {
    if (this.#holding.length === 0) return limit;
    const asked = this.#renderQuestion(this.#released, limit, isEnd);
    const options = { timeoutMs: this.#timeoutMs, signal, questions: this.#budget };
    const verdicts = await Promise.all(this.#holding.map((guard) => this.#reporter.ask(guard, asked, options)));
    if (this.#reporter.isBlocked) return this.#released;
    const isRedacted = this.#holding.some(
      ({ config }, index) => verdicts[index] === 'flagged' && config.action === 'REDACT',
    );
    if (isRedacted) this.#cut([wholePart(this.#released, limit)]);
    return limit;
  }

  /** Asks the providers about what was shown, without waiting for the answer before the text ends. */
  async #askBeside(isEnd: boolean, signal: AbortSignal): Promise<void> {
    for (const guard of this.#beside) {
      for (let isOpen = true; isOpen && !this.#reporter.isBlocked; ) {
        const pending = this.#pending.get(guard);
        if (pending && (pending.isSettled || isEnd)) await this.#takeVerdict(guard, pending);
        if (this.#pending.has(guard) || this.#reporter.isBlocked) break;
        isOpen = this.#beginAsking(guard, isEnd, signal) && isEnd;
      }
    }
  }

  #beginAsking(guard: Asking, isEnd: boolean, signal: AbortSignal): boolean {
    const asked = this.#askedUpTo.get(guard) ?? 0;
    const shown = this.#text.slice(0, this.#released);
    const end = isEnd ? shown.length : this.#questions.findEnd(guard.config.window, shown, asked);
    if (end <= asked) return false;
    const options = { timeoutMs: this.#timeoutMs, signal, questions: this.#budget };
    const verdict = this.#reporter.ask(guard, this.#renderQuestion(asked, end, isEnd), options);
    const pending: Pending = { end, verdict, isSettled: false };
    const settle = () => {
      pending.isSettled = true;
    };
    verdict.then(settle, settle);
    this.#pending.set(guard, pending);
    return true;
  }

  async #takeVerdict(guard: Asking, { end, verdict }: Pending): Promise<void> {
    const outcome = await verdict;
    const start = this.#askedUpTo.get(guard) ?? 0;
    this.#pending.delete(guard);
    this.#askedUpTo.set(guard, end);
    if (outcome === 'passed' || guard.config.action === 'ALLOW') return;
    if (this.#reporter.isBlocked) this.#withdrawTo(start);
    else if (guard.config.action === 'REDACT') this.#cut([wholePart(start, end)]);
  }

  #withdrawTo(end: number): void {
    this.#released = Math.min(this.#released, end);
  }

  #cut(findings: readonly Finding[]): void {
    if (findings.length > 0) this.#cuts = joinFindings([...this.#cuts, ...findings]);
  }

  /** What a provider is asked about: the part, and what stands before it; of the end of a text, all of it. */
  #renderQuestion(from: number, end: number, isEnd: boolean): string {
    return this.#questions.cut(this.#render(end), isEnd ? Infinity : end - from);
  }

  /** The text up to an offset, with what was found replaced. A cut that it would end within is left out. */
  #render(upTo = this.#released): string {
    const parts: string[] = [];
    let at = 0;
    for (const { start, end, placeholder } of this.#cuts) {
      if (start >= upTo) break;
      parts.push(this.#text.slice(at, start));
      if (end > upTo) return parts.join('');
      parts.push(placeholder);
      at = end;
    }
    parts.push(this.#text.slice(at, upTo));
    return parts.join('');
  }
}

function wholePart(start: number, end: number): Finding {
  return { start, end, label: 'part of the text', placeholder: patternPlaceholder };
}

/** How readers come from one text to another. */
function findChange(before: string, after: string): Pick<GuardedText, 'retractTo' | 'text'> {
  if (after.startsWith(before)) return { retractTo: null, text: after.slice(before.length) };
  let same = 0;
  while (same < after.length && before[same] === after[same]) same++;
  const retractTo = keepPairs(after, same);
  return { retractTo, text: after.slice(retractTo) };
}
