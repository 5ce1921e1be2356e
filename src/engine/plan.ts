import type { ResumedTurn, RetriedStep } from './continued-turn.ts';
import type { HistoryItem, ModelEndpoint, ToolSpec } from './ports.ts';
import type { TurnRouter } from './routing.ts';

/** A tool as a run sees it. */
export interface PlannedTool extends ToolSpec {
  /** How long a call may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Characters of a result that the model is given, at most. */
  readonly maxResultLength: number;
  /** Whether a person has to approve each call. */
  readonly requiresApproval: boolean;
}

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
  /** What the turn gives it beside its instructions: data between lines that no text in it can imitate; unset: nothing. */
  readonly context?: string;
  /** What it remembers of the user: data between such lines as well; unset: nothing. */
  readonly memories?: string;
  readonly endpoint: ModelEndpoint;
  /** 0 to 2; null: nobody set one. */
  readonly temperature: number | null;
  /** Tokens of an answer, at most; null: nobody set a limit. */
  readonly maxTokens: number | null;
  readonly tools: readonly PlannedTool[];
  /** What the descriptions of its tools say for this agent beyond what they say for all, by name; unset: nothing. */
  readonly toolNotes?: Readonly<Record<string, string>>;
  readonly handoffs: readonly PlannedHandoff[];
  /** JSON Schema of its answers, an object schema; unset: its answers are any text. */
  readonly outputSchema?: Readonly<Record<string, unknown>>;
}

/** What the model of an agent is told: its instructions, the form of its answers, and what the turn gives it. */
export function writeInstructions({
  instructions,
  outputSchema,
  context,
  memories,
}: Pick<PlannedAgent, 'instructions' | 'outputSchema' | 'context' | 'memories'>): string {
  const parts = [instructions];
  // Models without structured output are told it in this way alone.
  if (outputSchema !== undefined)
    parts.push(
      `Answer the user with one JSON object that fits this JSON Schema, and write nothing beside it:\n${JSON.stringify(outputSchema)}`,
    );
  if (memories !== undefined) parts.push(memories);
  if (context !== undefined) parts.push(context);
  return parts.join('\n\n');
}

/** The limits of a run. */
export interface TurnLimits {
  /** Model steps of one run. */
  readonly maxSteps: number;
  /** The whole run, in milliseconds; waiting for a person does not count. */
  readonly runTimeoutMs: number;
  /** Retries of one model step. */
  readonly maxRetries: number;
  /** Characters of one tool result that the model is given. */
  readonly maxResultLength: number;
}

/** Everything a turn needs to know, read once and frozen: edits do not reach a turn that is running. */
export interface RunPlan {
  readonly agents: ReadonlyMap<string, PlannedAgent>;
  readonly startAgentId: string;
  /** Chooses the agent with which the turn begins, `startAgentId` or another one; unset: it is chosen already. */
  readonly router?: TurnRouter;
  /** Past turns and the user's message, oldest first. */
  readonly history: readonly HistoryItem[];
  /** The state from which the turn continues after a pause, history included; null: the turn begins. */
  readonly resumed: ResumedTurn | null;
  /** The step with which the turn continues after its process has died, with `history`; unset: it does not. */
  readonly retried?: RetriedStep;
  readonly limits: TurnLimits;
}
