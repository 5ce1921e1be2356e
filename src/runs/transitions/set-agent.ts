import type { StoredRoutingDecision } from '../../conversations/routing-decision.ts';
import type { Routed } from '../../engine/routing.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { writeRouted } from '../../orchestration/last-decision.ts';
import type { RunRuntime } from '../runtime.ts';
import { isOwned, type LeasedRun, writeOwned } from './lease.ts';

type AgentRun = LeasedRun & Pick<Run, 'conversationId' | 'tenantId'>;

/** How the agent of a run changes. */
export interface AgentChange {
  readonly toAgentId: string;
  /** How the agent was chosen, if the run begins with it. */
  readonly routing?: StoredRoutingDecision;
  /** The user message that stores it too; unset: none does. */
  readonly messageId?: string;
  /** The plan of the turn (frozen-turn.ts), if the run begins with it. */
  readonly plan?: string;
  /** Whether the client asked for it: then the conversation no longer follows the default agent. */
  readonly asked?: boolean;
  /** The handoff that led to it. */
  readonly handoff?: {
    readonly id: string;
    /** Of the event that reports it. */
    readonly seq: number;
    readonly callId: string;
    readonly step: number;
    readonly fromAgentId: string;
    readonly reason: string | null;
    readonly at: Date;
  };
}

/** The change to the agent that orchestration has chosen. Its decision is stored with the user message too. */
export function changeToRouted({ userMessageId: messageId }: Pick<Run, 'userMessageId'>, routed: Routed): AgentChange {
  return { toAgentId: routed.decision.rootAgentId, routing: writeRouted(routed), messageId };
}

/**
 * Notes which agent is active, in the rows of the run and of its conversation, and the handoff that led to it; in one
 * statement. A second time it changes nothing.
 * @returns whether messages wait to join the run
 * @throws {LeaseLost} with nothing written, if this process has no lease of the run
 */
export async function setAgent(runtime: RunRuntime, run: AgentRun, change: AgentChange): Promise<boolean> {
  const { toAgentId, routing, messageId, plan, asked = false, handoff } = change;
  const edge = handoff
    ? Prisma.sql`, edge AS (
        INSERT INTO handoffs (id, seq, tenant_id, run_id, call_id, step, from_agent_id, to_agent_id, reason, at)
        SELECT ${handoff.id}::uuid, ${handoff.seq}::int, ${run.tenantId}, id, ${handoff.callId}, ${handoff.step}::int,
          ${handoff.fromAgentId}::uuid, ${toAgentId}::uuid, ${handoff.reason}, ${handoff.at}::timestamptz
        FROM owned
        ON CONFLICT (run_id, call_id) DO NOTHING)`
    : Prisma.empty;
  const planned =
    plan === undefined
      ? Prisma.empty
      : Prisma.sql`, planned AS (
        INSERT INTO run_plans (run_id, plan) SELECT id, ${plan} FROM owned
        ON CONFLICT (run_id) DO UPDATE SET plan = excluded.plan)`;
  const decision = routing ? JSON.stringify(routing) : null;
  const routed =
    messageId === undefined
      ? Prisma.empty
      : Prisma.sql`, routed AS (
        UPDATE messages SET routing_decision = ${decision}::jsonb
        WHERE id = ${messageId}::uuid AND conversation_id = (SELECT conversation_id FROM owned))`;
  return writeOwned(
    runtime.db,
    run,
    Prisma.sql`conversation AS (
      SELECT id FROM conversations WHERE id = ${run.conversationId}::uuid FOR NO KEY UPDATE
    ), owned AS (
      UPDATE runs SET agent_id = ${toAgentId}::uuid,
        routing_decision = coalesce(${decision}::jsonb, routing_decision)
      WHERE ${isOwned(runtime, run)} AND conversation_id = (SELECT id FROM conversation)
      RETURNING id, conversation_id
    ), active AS (
      UPDATE conversations SET active_agent_id = ${toAgentId}::uuid, follows_default = follows_default AND NOT ${asked},
        updated_at = greatest(updated_at, clock_timestamp())
      WHERE id = (SELECT conversation_id FROM owned)
    )${edge}${planned}${routed}`,
  );
}
