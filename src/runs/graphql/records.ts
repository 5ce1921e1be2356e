import type { StoredRoutingDecision } from '../../conversations/routing-decision.ts';
import type { CallStatus } from '../../engine/events.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, RunErrorRef } from '../../graphql/refs.ts';
import { loadAgent, loadAgents, readRun } from '../read/read.ts';
import { RunRef } from './run-ref.ts';

const ToolCallStatus = builder.enumType('ToolCallStatus', {
  description: 'Where a tool call stands.',
  values: {
    PENDING: { description: 'It has not begun; where a person was asked, it is approved.' },
    AWAITING_APPROVAL: { description: 'It waits for a person to approve it, with approveToolCall.' },
    RUNNING: { description: 'It is being carried out.' },
    SUCCEEDED: { description: 'It has a result.' },
    FAILED: { description: 'It went wrong; the model was told.' },
    DENIED: { description: 'A person denied it.' },
    CANCELLED: { description: 'Its turn was stopped before it had a result.' },
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
  description: 'A tool that a model called.',
  fields: (t) => ({
    id: t.exposeID('callId', { description: 'The model’s call id, unique in its run.' }),
    name: t.exposeString('name', { description: 'The tool’s name.' }),
    arguments: t.exposeString('arguments', {
      description: 'The arguments as the model wrote them: JSON, unless the model made a mistake.',
    }),
    editedArguments: t.exposeString('editedArguments', {
      nullable: true,
      description: 'The arguments that a person approved instead of the model’s: the tool was run with these.',
    }),
    decidedBy: t.exposeID('decidedBy', {
      nullable: true,
      description: 'The id of the user who approved or denied it, where somebody did.',
    }),
    result: t.expose('result', { type: 'JSON', nullable: true, description: 'What the tool answered.' }),
    status: t.expose('status', { type: ToolCallStatus, description: 'Where it stands.' }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed, where it did.' }),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'Which agent called it.',
      resolve: (call, _args, context) => (call.agentId === null ? null : context.agents.load(call.agentId)),
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
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
  description: 'One agent gave the floor to another.',
  fields: (t) => ({
    fromAgent: t.field({
      type: AgentRef,
      description: 'Who had the floor.',
      resolve: (handoff, _args, context) => loadAgent(context.agents, handoff.fromAgentId),
    }),
    toAgent: t.field({
      type: AgentRef,
      description: 'Who got it.',
      resolve: (handoff, _args, context) => loadAgent(context.agents, handoff.toAgentId),
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why, in the model’s words.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When.' }),
    run: t.prismaField({
      type: RunRef,
      description: 'In which turn.',
      resolve: (query, handoff, _args, context) => readRun(context.viewer, context.db, handoff.runId, query),
    }),
  }),
});

/** Routing decisions in the graph. */
export const RoutingDecision = builder.objectRef<StoredRoutingDecision>('RoutingDecision').implement({
  description: 'Who got the floor, and why.',
  fields: (t) => ({
    rootAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The root of the graph that was chosen from.',
      resolve: (decision, _args, context) =>
        decision.rootAgentId === null ? null : context.agents.load(decision.rootAgentId),
    }),
    selectedAgents: t.field({
      type: [AgentRef],
      description: 'Who got the floor.',
      resolve: (decision, _args, context) => loadAgents(context.agents, decision.selectedAgentIds),
    }),
    selectedTools: t.exposeStringList('selectedTools', { description: 'The tools that came with it, by name.' }),
    confidence: t.exposeFloat('confidence', { description: 'How sure the choice was, 0 to 1.' }),
    reasoning: t.exposeString('reasoning', { description: 'Why, in a sentence.' }),
    alternatives: t.exposeStringList('alternatives', { description: 'Who else could have had it, by name.' }),
  }),
});

const RunErrorCode = builder.enumType('RunErrorCode', {
  description: 'Why a run failed.',
  values: {
    MODEL_ERROR: { description: 'The model’s provider failed, or answered something unusable.' },
    MODEL_TIMEOUT: { description: 'The model, or the turn as a whole, took too long.' },
    MODEL_REFUSED: { description: 'The model would not answer.' },
    RATE_LIMITED: { description: 'The model’s provider was asked too often.' },
    MAX_STEPS_EXCEEDED: { description: 'The turn went on calling tools beyond its limit.' },
    GUARDRAIL_TRIPPED: { description: 'A guardrail stopped it.' },
    INTERRUPTED: { description: 'The server stopped while it ran.' },
    INTERNAL: {
      description:
        'The server’s own fault; or, where `retryable` is false, what the turn was asked for with is gone: its agent was deleted or switched off before it began.',
    },
  } as const,
});

/** Failures of runs in the graph. */
export const RunError = RunErrorRef.implement({
  description: 'Why a run failed. The text so far is kept.',
  fields: (t) => ({
    code: t.expose('code', { type: RunErrorCode, description: 'What clients branch on.' }),
    message: t.exposeString('message', { description: 'What to tell people.' }),
    retryable: t.exposeBoolean('retryable', { description: 'Whether the same turn may work when tried again.' }),
  }),
});
