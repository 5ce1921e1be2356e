import { builder } from '../../graphql/builder.ts';
import { createScenario, deleteScenario, updateScenario } from '../write.ts';
import { ScenarioRef } from './types.ts';

const HandoffEdgeInput = builder.inputType('HandoffEdgeInput', {
  description: 'A handoff that a member may make.',
  fields: (t) => ({
    toAgentId: t.id({ required: true, description: 'Who may be given the floor: another member, once.' }),
    description: t.string({
      description: 'When to hand off, as the model is told: 1 to 2,000 characters. Absent: what the agent is for.',
    }),
  }),
});

const ScenarioAgentInput = builder.inputType('ScenarioAgentInput', {
  description: 'A member of a scenario.',
  fields: (t) => ({
    agentId: t.id({ required: true, description: 'A shared, active agent; it can be a member once.' }),
    handoffs: t.field({
      type: [HandoffEdgeInput],
      required: true,
      description: 'To whom it may give the floor, at most 100, in the order in which the model is told of them.',
    }),
  }),
});

const ScenarioInput = builder.inputType('ScenarioInput', {
  description: 'A whole scenario: in an update, what is absent goes back to its default.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description:
        'What the front end names it by: 1 to 255 letters, digits, _, . and -; unique in the tenant, or in its project.',
    }),
    name: t.string({ required: true, description: 'Its name for people: 1 to 255 characters.' }),
    description: t.string({ description: 'What it is for: 1 to 2,000 characters.' }),
    projectId: t.string({
      description:
        'The project that it is for, 1 to 255 characters: there it goes before the tenant’s scenario of the same key. Absent: all projects.',
    }),
    rootAgentId: t.id({ required: true, description: 'Who has the floor when a conversation begins: a member.' }),
    agents: t.field({
      type: [ScenarioAgentInput],
      required: true,
      description: 'The members, at most 100. Handoffs have to lead from the root to each of them.',
    }),
    guardrails: t.field({
      type: 'JSON',
      description: 'Which guardrails run for its agents: a JSON object of at most 65,536 characters. Absent: {}.',
    }),
    isActive: t.boolean({ description: 'Whether new conversations may use it. Absent: true.' }),
  }),
});

builder.mutationFields((t) => ({
  createScenario: t.prismaField({
    type: ScenarioRef,
    description: 'Makes a scenario. Admins only.',
    args: { input: t.arg({ type: ScenarioInput, required: true, description: 'The scenario.' }) },
    resolve: (query, _root, args, context) => createScenario(context.viewer, context.agentDeps, args.input, query),
  }),
  updateScenario: t.prismaField({
    type: ScenarioRef,
    description:
      'Replaces a scenario whole; its version grows by one. Running turns keep the version they began with. Admins only.',
    args: {
      id: t.arg.id({ required: true, description: 'The scenario’s id, scn_….' }),
      input: t.arg({ type: ScenarioInput, required: true, description: 'What it is to be.' }),
    },
    resolve: (query, _root, args, context) =>
      updateScenario(context.viewer, context.agentDeps, args.id, args.input, query),
  }),
  deleteScenario: t.id({
    description:
      'Deletes a scenario that no conversation uses; one that is used is a CONFLICT: switch it off instead. Answers its id. Admins only.',
    args: { id: t.arg.id({ required: true, description: 'The scenario’s id, scn_….' }) },
    resolve: (_root, args, context) => deleteScenario(context.viewer, context.agentDeps, args.id),
  }),
}));
