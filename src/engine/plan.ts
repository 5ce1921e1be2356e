import type { HistoryItem, ModelEndpoint, ToolSpec } from './ports.ts';

/** A handoff that an agent may make. */
export interface PlannedHandoff {
  /** `transfer_to_<agent>`, unique among the agent's tools. */
  readonly toolName: string;
  readonly toAgentId: string;
  readonly description: string;
}

/** An agent as a run sees it: frozen when the run began. */
export interface PlannedAgent {
  readonly id: string;
  readonly name: string;
  readonly instructions: string;
  readonly endpoint: ModelEndpoint;
  readonly temperature: number;
  readonly maxTokens: number;
  readonly tools: readonly (ToolSpec & { readonly timeoutMs: number })[];
  readonly handoffs: readonly PlannedHandoff[];
}

/** The bounds of a run. */
export interface TurnLimits {
  /** Model steps of one run. */
  readonly maxSteps: number;
  /** The whole run, in milliseconds. */
  readonly runTimeoutMs: number;
  /** Retries of one model step. */
  readonly maxRetries: number;
  /** Characters of one tool result as the model is given it. */
  readonly maxResultLength: number;
}

/** Everything a turn needs to know, read once and frozen: edits do not reach a turn that is running. */
export interface RunPlan {
  readonly agents: ReadonlyMap<string, PlannedAgent>;
  readonly startAgentId: string;
  /** Past turns and the user's message, oldest first. */
  readonly history: readonly HistoryItem[];
  readonly limits: TurnLimits;
}
