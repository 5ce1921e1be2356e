import type { RequestedTransfer, TurnToolCall } from './events.ts';
import type { CallDecision, PausedTurn } from './paused-turn.ts';
import type { PlannedAgent } from './plan.ts';
import type { RequestedCall, TurnPorts } from './ports.ts';

/** The step whose model asked for the calls. */
interface CallingStep {
  readonly agent: PlannedAgent;
  readonly step: number;
  /** The message that the step wrote; null: none. */
  readonly messageId: string | null;
}

/** The tool calls of a step before any of them begins, with new ids. Handoffs are no tool calls. */
export function describeCalls(
  calls: readonly RequestedCall[],
  { agent, step, messageId }: CallingStep,
  ports: Pick<TurnPorts, 'newId'>,
): TurnToolCall[] {
  const transfers = new Set(agent.handoffs.map(({ toolName }) => toolName));
  return calls.flatMap((call, index) => {
    if (transfers.has(call.name)) return [];
    const ids = { id: ports.newId(), callId: call.id, messageId };
    return [{ ...notBegun, ...ids, step, index, name: call.name, arguments: call.arguments, agentId: agent.id }];
  });
}

/** The handoffs among the calls of a step. */
export function listTransfers(calls: readonly RequestedCall[], { handoffs }: PlannedAgent): RequestedTransfer[] {
  const transfers = new Set(handoffs.map(({ toolName }) => toolName));
  return calls.flatMap((call, index) => (transfers.has(call.name) ? [{ ...call, index }] : []));
}

/** The calls of a turn that waited for a person, with the decisions on them. */
export function describeDecidedCalls(
  { agentId, step, calls }: PausedTurn,
  decisions: ReadonlyMap<string, CallDecision>,
): TurnToolCall[] {
  return calls.flatMap((call, index) => {
    const decision = decisions.get(call.id);
    if (!decision) return [];
    const { id, messageId, editedArguments, decidedBy } = decision;
    const ids = { id, callId: call.id, messageId };
    const decided = { ...notBegun, editedArguments, decidedBy };
    return [{ ...decided, ...ids, step, index, name: call.name, arguments: call.arguments, agentId }];
  });
}

const notBegun = {
  editedArguments: null,
  decidedBy: null,
  result: null,
  status: 'PENDING',
  error: null,
  startedAt: null,
  finishedAt: null,
  approvalExpiresAt: null,
} as const;
