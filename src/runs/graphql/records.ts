import { formatId } from '../../api/ids.ts';
import type { StoredRoutingDecision } from '../../conversations/routing-decision.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, RunErrorRef } from '../../graphql/refs.ts';
import { loadNode, selectUnder } from '../../graphql/selection.ts';
import { findHandoff, handoffColumns, readHandoffRun } from '../read/handoffs.ts';
import { loadAgent, loadAgents } from '../read/read.ts';
import { RunRef } from './run-ref.ts';

/** Handoffs in the graph; resolved like tool calls (tool-calls.ts). */
export const HandoffRef = builder.prismaObject('Handoff', {
  select: handoffColumns,
  description: 'One agent handed the conversation over to another, which is now the active agent.',
  fields: (t) => ({
    seq: t.int({
      resolve: (handoff) => handoff.seq,
      description:
        'The `seq` of the event that reported the handoff: its place among the events of its run. 0 if it is not known, which is so for some handoffs of earlier versions.',
    }),
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
    reason: t.string({
      resolve: (handoff) => handoff.reason,
      nullable: true,
      description: 'The reason in the model’s words. Null if the model gave none.',
    }),
    at: t.field({ resolve: (handoff) => handoff.at, type: 'DateTime', description: 'When the handoff occurred.' }),
    run: t.prismaField({
      type: RunRef,
      description: 'The run in which the handoff occurred.',
      resolve: (query, handoff, _args, context) => readHandoffRun(context.viewer, context.db, handoff, query),
    }),
  }),
});

builder.nodeRef(HandoffRef, {
  id: { resolve: (handoff: typeof HandoffRef.$inferType) => handoff.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      findHandoff(context.viewer, context.db, formatId('Handoff', row), ['id'], selectUnder(context, info, 'Handoff')),
    ),
});

/** Routing decisions in the graph. */
export const RoutingDecision = builder.objectRef<StoredRoutingDecision>('RoutingDecision').implement({
  description: 'Which agent was chosen to answer, and why.',
  fields: (t) => ({
    rootAgent: t.field({
      type: AgentRef,
      nullable: true,
      description:
        'The agent that answers, if orchestration chose it; else the root agent of the scenario or, without a scenario, the agent that answers. Null if nobody was chosen.',
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
    confidence: t.exposeFloat('confidence', {
      description:
        'The confidence of the choice, from 0 to 1. It is 1 if nothing had to be chosen, and 0 if the classifier failed.',
    }),
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
    INTERRUPTED: {
      description:
        'The process of the run stopped too often, or stopped and the run could not continue. The message names the reason.',
    },
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
