import type { StoredRoutingDecision } from '../conversations/routing-decision.ts';
import type { PlannedAgent } from '../engine/plan.ts';
import type { GuardsByAgent } from '../guardrails/turn-guard.ts';
import type { PlannedOrchestration } from '../orchestration/planned.ts';
import type { Tool } from '../tools/contract/tool.ts';

/** The agents and tools of a turn, frozen: edits do not change a turn that is running. */
export interface PlannedTurn {
  readonly agents: ReadonlyMap<string, PlannedAgent>;
  /** The active agent at the start. */
  readonly startAgentId: string;
  /** How the agent that begins is still to be chosen; null: `startAgentId` begins. */
  readonly orchestration: PlannedOrchestration | null;
  /** The guardrails of its agents; empty: it has none. */
  readonly guards: GuardsByAgent;
  /** The tools of all its agents, by name. */
  readonly tools: ReadonlyMap<string, Tool>;
  /** The references of its context snapshot, with which `tools` can be called, and their ids; unset: none. */
  readonly references?: Readonly<Record<string, string>>;
  /** Why tools of its agents are missing, by name, in words for the model; only if a reason is known. */
  readonly absent?: ReadonlyMap<string, string>;
  /** The ids of calls whose tool was changed after they were approved: they are not sent. */
  readonly changedCalls?: ReadonlySet<string>;
}

/** A turn that begins. */
export interface CompiledTurn extends PlannedTurn {
  /** If the turn is orchestrated, it is not decided yet: this is what holds without a decision. */
  readonly routing: StoredRoutingDecision;
  /** The scenario of its conversation, and its version; null: none. */
  readonly scenario: { readonly id: string; readonly version: number } | null;
}
