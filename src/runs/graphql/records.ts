import type { StoredRoutingDecision } from '../../conversations/routing-decision.ts';
import type { CallStatus } from '../../engine/events.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, RunErrorRef } from '../../graphql/refs.ts';
import { loadAgent, loadAgents, readRun } from '../read/read.ts';
import { RunRef } from './run-ref.ts';

const ToolCallStatus = builder.enumType('ToolCallStatus', {
  description: 'The state of a tool call.',
  values: {
    PENDING: { description: 'The call has not started yet. If it needed an approval, it is approved.' },
    AWAITING_APPROVAL: { description: 'The call waits for the user’s decision through `approveToolCall`.' },
    RUNNING: { description: 'The tool is running.' },
    SUCCEEDED: { description: 'The tool returned a result.' },
    FAILED: { description: 'The call failed. The model receives the error and continues.' },
    DENIED: { description: 'The user denied the call. The model is told so and continues.' },
    CANCELLED: { description: 'The turn ended before the tool returned a result.' },
  } as const,
});

/** What a ToolCall is read from: its row, or the event that tells of it. */
interface ToolCallShape {
  readonly callId: string;
  readonly name: string;
  readonly arguments: string;
  readonly editedArguments: string | null;
  readonly decidedBy: string | null;
  readonly result: unknown;
  readonly status: CallStatus;
  readonly error: string | null;
  readonly agentId: string | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** Tool calls in the graph. */
export const ToolCall = builder.objectRef<ToolCallShape>('ToolCall').implement({
  description: 'One call of a tool by a model.',
  fields: (t) => ({
    id: t.exposeID('callId', {
      description: 'The id of the call that the model chose, such as `call_8fK2`. It is unique within its run only.',
    }),
    name: t.exposeString('name', { description: 'The name of the tool. Example: `lookup_order`.' }),
    arguments: t.exposeString('arguments', {
      description:
        'The arguments as the model wrote them, as JSON text. Example: `{"orderNumber":"1042"}`. The text is invalid JSON if the model made a mistake.',
    }),
    editedArguments: t.exposeString('editedArguments', {
      nullable: true,
      description:
        'The arguments with which the user approved the call in place of the model’s, as JSON text. The tool ran with these. Null if they were not changed.',
    }),
    decidedBy: t.exposeID('decidedBy', {
      nullable: true,
      description: 'The id of the user who approved or denied the call. Null if nobody did.',
    }),
    result: t.expose('result', {
      type: 'JSON',
      nullable: true,
      description: 'The result of the tool. Null if it has none.',
    }),
    status: t.expose('status', { type: ToolCallStatus, description: 'The current state.' }),
    error: t.exposeString('error', {
      nullable: true,
      description: 'The cause of the failure. Null if it did not fail.',
    }),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that called the tool. Null if it is unknown.',
      resolve: (call, _args, context) => (call.agentId === null ? null : context.agents.load(call.agentId)),
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it started. Null if it has not started.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended. Null if it has not ended.',
    }),
  }),
});

/** What a Handoff is read from. */
export interface HandoffShape {
  readonly runId: string;
  readonly fromAgentId: string;
  readonly toAgentId: string;
  readonly reason: string | null;
  readonly at: Date;
}

/** Handoffs in the graph. */
export const Handoff = builder.objectRef<HandoffShape>('Handoff').implement({
  description: 'One agent handed the conversation over to another, which is now the active agent.',
  fields: (t) => ({
    fromAgent: t.field({
      type: AgentRef,
      description: 'The agent that handed the conversation over.',
      resolve: (handoff, _args, context) => loadAgent(context.agents, handoff.fromAgentId),
    }),
    toAgent: t.field({
      type: AgentRef,
      description: 'The agent that took the conversation over.',
      resolve: (handoff, _args, context) => loadAgent(context.agents, handoff.toAgentId),
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'The reason in the model’s words. Null if the model gave none.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When the handoff occurred.' }),
    run: t.prismaField({
      type: RunRef,
      description: 'The run in which the handoff occurred.',
      resolve: (query, handoff, _args, context) => readRun(context.viewer, context.db, handoff.runId, query),
    }),
  }),
});

/** Routing decisions in the graph. */
export const RoutingDecision = builder.objectRef<StoredRoutingDecision>('RoutingDecision').implement({
  description: 'Which agent was chosen to answer, and why.',
  fields: (t) => ({
    rootAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The root agent of the scenario. Null if there is no scenario.',
      resolve: (decision, _args, context) =>
        decision.rootAgentId === null ? null : context.agents.load(decision.rootAgentId),
    }),
    selectedAgents: t.field({
      type: [AgentRef],
      description: 'The chosen agents.',
      resolve: (decision, _args, context) => loadAgents(context.agents, decision.selectedAgentIds),
    }),
    selectedTools: t.exposeStringList('selectedTools', {
      description: 'The names of the tools that the chosen agent may use.',
    }),
    confidence: t.exposeFloat('confidence', { description: 'The confidence of the choice, from 0 to 1.' }),
    reasoning: t.exposeString('reasoning', { description: 'The reason for the choice, in one sentence.' }),
    alternatives: t.exposeStringList('alternatives', {
      description: 'The names of the other agents that could have been chosen.',
    }),
  }),
});

const RunErrorCode = builder.enumType('RunErrorCode', {
  description: 'The cause of a run’s failure, for programs.',
  values: {
    MODEL_ERROR: { description: 'The model’s provider failed, or its response could not be used.' },
    MODEL_TIMEOUT: {
      description: 'The model, or the turn as a whole (RUN_TIMEOUT_SECONDS, default 600), took too long.',
    },
    MODEL_REFUSED: { description: 'The model refused to answer.' },
    CONTEXT_TOO_LONG: {
      description: 'The conversation is longer than the context window of the model, even after older parts were cut.',
    },
    EMPTY_ANSWER: {
      description:
        'The model ended its answer without any text or tool call, e.g. because it spent its token limit on reasoning.',
    },
    RATE_LIMITED: { description: 'The model’s provider received too many requests.' },
    MAX_STEPS_EXCEEDED: { description: 'The turn reached the limit of model steps (MAX_STEPS, default 16).' },
    GUARDRAIL_TRIPPED: { description: 'A guardrail stopped the turn.' },
    INTERRUPTED: { description: 'The server process stopped during the run.' },
    INTERNAL: {
      description:
        'An internal error of the server. If `retryable` is false, the agent of the turn was deleted or switched off before the turn started.',
    },
  } as const,
});

/** Failures of runs in the graph. */
export const RunError = RunErrorRef.implement({
  description: 'The failure of a run. The text up to that point is stored.',
  fields: (t) => ({
    code: t.expose('code', { type: RunErrorCode, description: 'The cause, for programs.' }),
    message: t.exposeString('message', { description: 'A description of the failure to show to people.' }),
    retryable: t.exposeBoolean('retryable', { description: 'Whether the same turn may succeed if it is tried again.' }),
  }),
});
