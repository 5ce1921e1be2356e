import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { defaultThreshold, type Orchestration } from '../orchestration.ts';

const OrchestrationMode = builder.enumType('OrchestrationMode', {
  description: 'When a classifier chooses the agent that answers.',
  values: {
    OFF: { description: 'Never: the active agent answers, at first the root agent.' },
    FIRST_TURN: { description: 'In the first turn of a conversation in the scenario.' },
    EVERY_TURN: {
      description:
        'In every turn, unless the last decision still holds: the user has only replied in a few words to a question of the agent.',
    },
  } as const,
});

/** Orchestrations in the graph. */
export const OrchestrationRef = builder.objectRef<Orchestration>('Orchestration').implement({
  description: 'How the agent that answers a turn of a scenario is chosen.',
  fields: (t) => ({
    mode: t.expose('mode', { type: OrchestrationMode, description: 'When a classifier chooses it.' }),
    classifier: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that classifies. Null: the model of the root agent does, without its instructions.',
      resolve: ({ classifierAgentId }, _args, context) =>
        classifierAgentId === null ? null : context.agents.load(classifierAgentId),
    }),
    threshold: t.exposeFloat('threshold', {
      description: 'The confidence, from 0 to 1, below which the choice of the classifier is not followed.',
    }),
    instructions: t.exposeString('instructions', {
      nullable: true,
      description:
        'What the classifier is told in addition to the names and descriptions of the agents. Null: nothing.',
    }),
  }),
});

/** Orchestrations as scenarios are given them. */
export const OrchestrationInput = builder.inputType('OrchestrationInput', {
  description: 'How the agent that answers a turn of a scenario is chosen.',
  fields: (t) => ({
    mode: t.field({ type: OrchestrationMode, required: true, description: 'When a classifier chooses it.' }),
    classifierAgentId: t.id({
      description:
        'The agent that classifies: shared and active, a member of the scenario or not. It cannot be deleted as long as it is used. If omitted, the model of the root agent classifies, without its instructions.',
    }),
    threshold: t.float({
      defaultValue: defaultThreshold,
      description:
        'The confidence, from 0 to 1, below which the choice of the classifier is not followed: the active agent then stays.',
    }),
    instructions: t.string({
      description:
        'What the classifier is told in addition to the names and descriptions of the agents, 1 to 10,000 characters. Example: `Refunds are for billing`.',
    }),
  }),
});
