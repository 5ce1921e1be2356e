import { countConversationsInScenario } from '../../conversations/write.ts';
import { builder } from '../../graphql/builder.ts';
import { GuardrailInputRef, ScenarioRef } from '../../graphql/refs.ts';
import { createScenario, deleteScenario, restoreScenarioVersion, updateScenario } from '../write.ts';
import { OrchestrationInput } from './orchestration.ts';

const HandoffEdgeInput = builder.inputType('HandoffEdgeInput', {
  description: 'A handoff that an agent of the scenario may make.',
  fields: (t) => ({
    toAgentId: t.id({
      required: true,
      description:
        'The agent that receives the conversation: another member of the scenario. At most one handoff per pair of agents.',
    }),
    description: t.string({
      description:
        'When to hand off, 1 to 2,000 characters. The model reads it as the description of the transfer tool. Example: `Questions about invoices`. If omitted, the description of the other agent.',
    }),
  }),
});

const ScenarioAgentInput = builder.inputType('ScenarioAgentInput', {
  description: 'A member of a scenario: an agent, and the handoffs that it may make.',
  fields: (t) => ({
    agentId: t.id({
      required: true,
      description: 'The id of a shared, active agent. Each agent can be a member once.',
    }),
    handoffs: t.field({
      type: [HandoffEdgeInput],
      required: true,
      description:
        'The handoffs that the agent may make, at most 100, in the order in which they are offered to the model.',
    }),
  }),
});

const ScenarioInput = builder.inputType('ScenarioInput', {
  description: 'A whole scenario. In an update, omitted fields return to their defaults.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description:
        'The key by which clients select the scenario, such as `support`: 1 to 255 letters, digits, `_`, `.` and `-`, the first one a letter or a digit. Unique in the tenant or, with `projectId`, in the project.',
    }),
    name: t.string({
      required: true,
      description: 'The name to show to people, 1 to 255 characters. Example: `Customer support`.',
    }),
    description: t.string({ description: 'What the scenario is for, 1 to 2,000 characters.' }),
    projectId: t.string({
      description:
        'The id or the key of the project to which the scenario is limited. There it takes precedence over the tenant’s scenario with the same key. If omitted, all projects can use it.',
    }),
    rootAgentId: t.id({
      required: true,
      description: 'The root agent, which is active when a conversation starts. It must be one of the members.',
    }),
    agents: t.field({
      type: [ScenarioAgentInput],
      required: true,
      description:
        'The members, 1 to 100. Every member must be reachable from the root agent through handoffs, unless orchestration is on: then a classifier can choose each of them.',
    }),
    guardrails: t.field({
      type: [GuardrailInputRef],
      description:
        'The guardrails of all members, at most 20, with names that differ. Agents that classify must be shared. If omitted, none.',
    }),
    orchestration: t.field({
      type: OrchestrationInput,
      description: 'How the agent that answers is chosen. If omitted, `mode` is OFF.',
    }),
    isActive: t.boolean({ description: 'Whether new conversations may use the scenario. Default: true.' }),
  }),
});

builder.mutationFields((t) => ({
  createScenario: t.prismaField({
    type: ScenarioRef,
    description: 'Creates a scenario. Only admins may do this. CONFLICT if the key is taken.',
    args: { input: t.arg({ type: ScenarioInput, required: true, description: 'The scenario.' }) },
    resolve: (query, _root, args, context) => createScenario(context.viewer, context.agentDeps, args.input, query),
  }),
  updateScenario: t.prismaField({
    type: ScenarioRef,
    description:
      'Replaces a scenario and increases its `version` by one; `versions` has what it was. Running turns keep the version with which they started. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The scenario’s id, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: ScenarioInput, required: true, description: 'The new content of the scenario.' }),
      expectedVersion: t.arg.int({
        description:
          'The version that the scenario has now, or CONFLICT. If omitted, whatever there is gets its next version.',
      }),
    },
    resolve: (query, _root, args, context) => updateScenario(context.viewer, context.agentDeps, args, query),
  }),
  restoreScenarioVersion: t.prismaField({
    type: ScenarioRef,
    description:
      'Gives a scenario all of the content that an earlier version had, also its key, its project and `isActive`, as its next version. It is checked as in `updateScenario`: BAD_USER_INPUT names the field that the version would have in a ScenarioInput, such as `input.agents.1.agentId` for an agent that was deleted since, and nothing is written. CONFLICT if the scenario does not have the expected version, or the key is taken by another one. NOT_FOUND if the version is stored no longer. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The scenario’s id, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      version: t.arg.int({ required: true, description: 'The number of the version whose content it gets, from 1.' }),
      expectedVersion: t.arg.int({
        required: true,
        description: 'The version that the scenario has now: what others have changed since is not overwritten unseen.',
      }),
    },
    resolve: (query, _root, args, context) => restoreScenarioVersion(context.viewer, context.agentDeps, args, query),
  }),
  deleteScenario: t.id({
    description:
      'Deletes a scenario with all of its versions and returns its id. CONFLICT if conversations use it: set `isActive` to false instead. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The scenario’s id, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) =>
      deleteScenario(context.viewer, context.agentDeps, args.id, countConversationsInScenario),
  }),
}));
