import type { FileText, RequestedCall, TokenUsage, ToolOutcome } from './ports.ts';

/** Where a text is checked. */
export type GuardStage = 'INPUT' | 'OUTPUT' | 'TOOL_INPUT' | 'TOOL_OUTPUT';

/** What a check decided. */
export interface GuardDecision {
  readonly flagged: boolean;
  readonly action: 'ALLOW' | 'BLOCK' | 'REDACT';
  readonly categories: readonly { readonly name: string; readonly flagged: boolean; readonly score: number }[];
  /** Never the text that was flagged. */
  readonly reasoning: string | null;
}

/** The result of one guardrail for one text. */
export interface GuardResult {
  /** The row id. */
  readonly id: string;
  /** Its name. */
  readonly guardrail: string;
  readonly stage: GuardStage;
  readonly agentId: string;
  /** Whether something was flagged. */
  readonly tripwireTriggered: boolean;
  readonly decision: GuardDecision;
  readonly at: Date;
}

/** A model call that a check took, for the ledger. */
export interface GuardModelCall {
  readonly agentId: string;
  readonly model: string;
  /** Null: the model reported none. */
  readonly usage: TokenUsage | null;
  readonly durationMs: number;
}

/** What checks left behind, each result once. */
export interface GuardReport {
  readonly results: readonly GuardResult[];
  readonly calls: readonly GuardModelCall[];
  /** The name of the guardrail that stops the turn; null: none. */
  readonly blockedBy: string | null;
}

/** A checked value, with what was flagged replaced. */
export interface Guarded<Value> extends GuardReport {
  readonly value: Value;
  /** Whether it is another value than before. */
  readonly isRedacted: boolean;
}

/** What the user has sent with a message: its text, its files, and what stands in them. */
export interface UserInput {
  readonly content: string;
  readonly files: readonly FileText[];
}

/** What readers may be shown after more text has been written. */
export interface GuardedText extends GuardReport {
  /** What was shown from this offset on (UTF-16 code units) is withdrawn first; null: nothing is. */
  readonly retractTo: number | null;
  /** What is shown after that. */
  readonly text: string;
}

/** Checks one text while it is written. */
export interface TextGuard {
  /** Whether something of the text was replaced. */
  readonly isRedacted: boolean;
  /** @throws the signal's reason if it is aborted */
  push(delta: string, signal: AbortSignal): Promise<GuardedText>;
  /** After the last delta. @throws the signal's reason if it is aborted */
  end(signal: AbortSignal): Promise<GuardedText>;
}

/** The guardrails of a turn. For what nothing guards, every function returns null, and costs nothing. */
export interface TurnGuard {
  /**
   * Checks the text of the user, and what stands in the files, before the model is asked.
   * @param readFiles called only if something checks them
   */
  checkInput(
    agentId: string,
    content: string,
    readFiles: () => Promise<readonly FileText[]>,
    signal: AbortSignal,
  ): Promise<Guarded<UserInput>> | null;
  /** Checks the text of the user beside the model. */
  watchInput(agentId: string, text: string, signal: AbortSignal): Promise<GuardReport> | null;
  /** For the text of an answer. */
  openOutput(agentId: string): TextGuard | null;
  /** For the reasoning of a model, which cannot be withdrawn: it is shown when it is whole. */
  openReasoning(agentId: string): TextGuard | null;
  /** Checks the calls that a model asks for, handoffs included, before they are written anywhere. */
  checkCalls(
    agentId: string,
    calls: readonly RequestedCall[],
    signal: AbortSignal,
  ): Promise<Guarded<readonly RequestedCall[]>> | null;
  /** Checks the values of an answer that is JSON: in its text, escapes may have hidden them. */
  checkData(agentId: string, data: unknown, signal: AbortSignal): Promise<Guarded<unknown>> | null;
  /** Checks what a tool returned, before it is written anywhere. */
  checkOutcome(agentId: string, outcome: ToolOutcome, signal: AbortSignal): Promise<Guarded<ToolOutcome>> | null;
}
