import { builder } from '../../graphql/builder.ts';
import { loadExistingAgent } from '../../graphql/existing-agent.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { type OrchestrationOutcome, orchestrate } from '../orchestrate/orchestrate.ts';

const OrchestrateInput = builder.inputType('OrchestrateInput', {
  description: 'A message for which an agent of a scenario is to be chosen.',
  fields: (t) => ({
    scenarioKey: t.string({ required: true, description: 'The key of an active scenario. Example: `support`.' }),
    conversationId: t.id({
      description:
        'A conversation of the viewer: its project, its active agent and its last decision are taken into account, and the usage counts for it. It is not changed.',
    }),
    lastUserMessage: t.string({
      required: true,
      description: 'The message of the user, 1 to 100,000 characters. The classifier is shown the first 8,000.',
    }),
    lastAgentMessage: t.string({
      description: 'What the agent said before it, 1 to 100,000 characters. The classifier is shown the first 1,000.',
    }),
    currentAgentId: t.id({
      description:
        'The agent of the scenario that answered last. If omitted, the active agent of the conversation, if it is in the scenario and has begun.',
    }),
  }),
});

const OrchestrationDecision = builder.objectRef<OrchestrationOutcome>('OrchestrationDecision').implement({
  description: 'Which agent of a scenario should answer a message, and why.',
  fields: (t) => ({
    rootAgent: t.field({
      type: AgentRef,
      description:
        'The agent that should answer. If the classifier fails, is below the threshold or names nobody of the scenario: the agent that answered last, else the root agent.',
      resolve: ({ rootAgentId }, _args, context) => loadExistingAgent(context, rootAgentId),
    }),
    switched: t.exposeBoolean('switched', {
      description: 'Whether it is another agent than the one that answered last.',
    }),
    confidence: t.exposeFloat('confidence', {
      description:
        'The confidence, from 0 to 1. It is 1 if there was nobody else to choose, and 0 if the classifier failed.',
    }),
    reasoning: t.exposeString('reasoning', { description: 'The reason, in one sentence.' }),
    alternatives: t.field({
      type: [AgentRef],
      description: 'Other agents that could answer, at most 6.',
      resolve: ({ alternativeIds }, _args, context) =>
        Promise.all(alternativeIds.map((id) => loadExistingAgent(context, id))),
    }),
  }),
});

builder.mutationField('orchestrate', (t) =>
  t.field({
    type: OrchestrationDecision,
    description:
      'Decides which agent of a scenario should answer a message, as an orchestrated turn would, outside of any turn. The guardrails check the message first. Nothing is changed or stored but the usage of the classifier. Limited by RATE_LIMIT_TURNS.',
    args: { input: t.arg({ type: OrchestrateInput, required: true, description: 'The message.' }) },
    resolve: (_root, args, context) => orchestrate(context.viewer, context.runs, args.input, context.signal),
  }),
);
