import { raceAbort, TurnAborted } from './abort.ts';
import type { TurnEvent } from './events.ts';
import type { GuardedText, GuardReport, TextGuard, TurnGuard } from './guard.ts';
import { type Failure, type HistoryItem, type MessageFiles, ModelError } from './ports.ts';

/** The failure of a turn that a guardrail stopped. The same turn would be stopped again. */
function trippedFailure(guardrail: string): Failure {
  return { code: 'GUARDRAIL_TRIPPED', message: `The guardrail "${guardrail}" stopped the turn.`, retryable: false };
}

/**
 * Reports what guardrails have found.
 * @throws {ModelError} if one of them stops the turn
 */
export function* reportGuards({ results, calls, blockedBy }: GuardReport, step: number): Generator<TurnEvent, void> {
  for (const call of calls) yield { type: 'modelCalled', call: { ...call, step, timeToFirstTokenMs: null } };
  for (const result of results) yield { type: 'guardrailChecked', result, step };
  if (blockedBy !== null) throw new ModelError(trippedFailure(blockedBy), { problem: 'REFUSED' });
}

/** A check of the user's text that goes on while the model answers. */
interface WatchedInput {
  readonly report: Promise<GuardReport>;
  readonly step: number;
  /** Null: it goes on. */
  done: GuardReport | null;
}

/** The checks of the user's text that go on while the model answers. */
export class InputWatch {
  readonly #stop = new AbortController();
  readonly #abandon = new AbortController();
  #open: WatchedInput[] = [];
  #tripped: TurnAborted | null = null;
  #hasFailed = false;

  /** Aborted when one of them stops the turn, or cannot be carried out. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Stops the checks. They go on if the turn is cancelled or fails: its text is part of later histories. */
  get checkSignal(): AbortSignal {
    return this.#abandon.signal;
  }

  /** How the turn ends because one of them has stopped it; null: none has. What was shown of the answer is to be withdrawn. */
  get tripped(): TurnAborted | null {
    return this.#tripped;
  }

  add(report: Promise<GuardReport>, step: number): void {
    const check: WatchedInput = { report, step, done: null };
    this.#open.push(check);
    report.then(
      (done) => {
        check.done = done;
        if (done.blockedBy === null) return;
        this.#tripped ??= new TurnAborted(trippedFailure(done.blockedBy));
        this.#stop.abort(this.#tripped);
      },
      (error: unknown) => {
        this.#hasFailed = true;
        this.#stop.abort(error);
      },
    );
  }

  /** Waits until all of them have passed. @throws the signal's reason if one of them has not */
  async settle(signal: AbortSignal): Promise<void> {
    if (this.#open.length > 0) await raceAbort(Promise.all(this.#open.map(({ report }) => report)), signal);
    signal.throwIfAborted();
  }

  /**
   * Waits until all of them have ended, in a turn that ends: each takes no longer than its provider may.
   * @param signal that of the turn: if it goes on elsewhere, they are stopped, and carried out there
   */
  async finish(signal: AbortSignal): Promise<void> {
    if (signal.aborted && signal.reason !== this.#stop.signal.reason && !(signal.reason instanceof TurnAborted)) {
      this.#abandon.abort(signal.reason);
      this.#open = [];
    }
    await Promise.allSettled(this.#open.map(({ report }) => report));
  }

  /** Reports what they have found and was not reported yet. */
  *report(): Generator<TurnEvent, void> {
    const open = this.#open;
    this.#open = [];
    // What could not be checked has not passed.
    if (open.length > 0 && (this.#tripped !== null || this.#hasFailed)) yield { type: 'inputBlocked' };
    for (const { step, done } of open) if (done) yield* reportGuards({ ...done, blockedBy: null }, step);
  }
}

/** What checks a turn. */
export interface GuardedTurn {
  readonly guard: TurnGuard;
  readonly watch: InputWatch;
  /** The files of the message that began it; unset: nobody reads them. */
  readonly files: MessageFiles | undefined;
}

/** The agent whose guardrails check the text of the user. */
interface InputCheck extends GuardedTurn {
  readonly agentId: string;
  readonly step: number;
  /** The last user message that began a turn is what is checked, and replaced if something of it is redacted. */
  readonly history: HistoryItem[];
}

/**
 * Checks the text of the user, and what stands in the files, for an agent that becomes active: before its model is asked, or
 * beside it.
 * @throws {ModelError} if a guardrail stops the turn
 * @throws the signal's reason if it is aborted
 */
export async function* checkInput(check: InputCheck, signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
  const { guard, agentId, step, history, watch, files } = check;
  const index = history.findLastIndex((entry) => entry.role === 'user' && entry.isSteered !== true);
  const item = history[index];
  // A text that was blocked before it was stored is not part of the history.
  let content = item?.role === 'user' ? item.content : '';
  let attached = item?.role === 'user' ? (item.attached ?? null) : null;
  // Each attachment has a line below the text (runs/attached-text.ts), also if nothing is stored of it.
  const hasFiles = attached !== null || content.includes('\n[attachment: ');
  const readFiles = async () => (hasFiles && files !== undefined ? files.read() : []);
  const before = guard.checkInput(agentId, content, readFiles, signal);
  if (before !== null) {
    const checked = await before;
    if (checked.isRedacted && item?.role === 'user') {
      const { content: redacted, files: redactedFiles } = checked.value;
      content = redacted;
      yield { type: 'inputRedacted', content, files: redactedFiles };
      // They are stored now, and are read as every later turn reads them.
      if (redactedFiles.length > 0 && files !== undefined) attached = await files.give();
      const { attached: _, ...message } = item;
      history[index] = { ...message, content, ...(attached !== null && { attached }) };
    }
    if (checked.blockedBy !== null) yield { type: 'inputBlocked' };
    yield* reportGuards(checked, step);
  }
  // The end of a long text is what providers are asked about: the user's own words.
  const all = attached === null || attached.text === '' ? content : `${attached.text}\n${content}`;
  const beside = guard.watchInput(agentId, all, watch.checkSignal);
  if (beside !== null) watch.add(beside, step);
}

/** The message that a step writes. It starts with its first text; the reasoning before it has its id already. */
export interface OpenMessage {
  readonly id: string;
  started: boolean;
  content: string;
  reasoningLength: number;
}

/** The step whose answer is guarded. */
interface GuardedStep {
  readonly agentId: string;
  readonly step: number;
  readonly message: OpenMessage;
}

/** The answer of one attempt of a model step, shown as far as the guardrails of its agent allow. */
export class GuardedAnswer {
  readonly #guard: TurnGuard;
  readonly #text: TextGuard;
  readonly #step: GuardedStep;
  #reasoning: TextGuard | null = null;
  #hasRedactedReasoning = false;

  /** @returns null: nothing guards the answers of the agent */
  static open(guard: TurnGuard, step: GuardedStep): GuardedAnswer | null {
    const text = guard.openOutput(step.agentId);
    return text ? new GuardedAnswer(guard, text, step) : null;
  }

  private constructor(guard: TurnGuard, text: TextGuard, step: GuardedStep) {
    this.#guard = guard;
    this.#text = text;
    this.#step = step;
  }

  /** Whether something of the text was replaced. */
  get isTextRedacted(): boolean {
    return this.#text.isRedacted;
  }

  /** Whether something of the text or of the reasoning was replaced. */
  get isRedacted(): boolean {
    return this.#text.isRedacted || this.#hasRedactedReasoning;
  }

  /** @throws {ModelError} if a guardrail stops the turn */
  async *pushText(delta: string, signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
    yield* this.#endReasoning(signal);
    yield* this.#show(await this.#text.push(delta, signal));
  }

  /** Takes reasoning, which is shown when it is whole. @throws {ModelError} if a guardrail stops the turn */
  async *pushReasoning(delta: string, signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
    this.#reasoning ??= this.#guard.openReasoning(this.#step.agentId);
    if (this.#reasoning) yield* this.#showReasoning(await this.#reasoning.push(delta, signal));
  }

  /** After the last delta. @throws {ModelError} if a guardrail stops the turn */
  async *end(signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
    yield* this.#endReasoning(signal);
    yield* this.#show(await this.#text.end(signal));
  }

  async *#endReasoning(signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
    const reasoning = this.#reasoning;
    if (reasoning === null) return;
    this.#reasoning = null;
    const rest = await reasoning.end(signal);
    this.#hasRedactedReasoning ||= reasoning.isRedacted;
    yield* this.#showReasoning(rest);
  }

  *#showReasoning(shown: GuardedText): Generator<TurnEvent, void> {
    const { message, step } = this.#step;
    if (shown.text !== '') {
      const offset = message.reasoningLength;
      message.reasoningLength += shown.text.length;
      yield { type: 'reasoningDelta', messageId: message.id, offset, delta: shown.text };
    }
    yield* reportGuards(shown, step);
  }

  *#show(shown: GuardedText): Generator<TurnEvent, void> {
    const { agentId, message, step } = this.#step;
    const { retractTo, text } = shown;
    if (retractTo !== null) {
      message.content = message.content.slice(0, retractTo);
      yield { type: 'textRetracted', messageId: message.id, length: retractTo };
    }
    if (text !== '') {
      if (!message.started) {
        message.started = true;
        yield { type: 'messageStarted', messageId: message.id, agentId, step };
      }
      const offset = message.content.length;
      message.content += text;
      yield { type: 'textDelta', messageId: message.id, offset, delta: text };
    }
    yield* reportGuards(shown, step);
  }
}
