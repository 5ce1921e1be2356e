import { builder } from '../../graphql/builder.ts';
import { loadExistingAgent } from '../../graphql/existing-agent.ts';
import { loadProject } from '../../graphql/load-project.ts';
import { AgentRef, GuardrailRef, ProjectRef } from '../../graphql/refs.ts';
import type { ScenarioSnapshot } from '../snapshot.ts';
import type { ScenarioVersion } from '../versions.ts';
import { OrchestrationRef } from './orchestration.ts';

type Member = ScenarioSnapshot['members'][number];

const ScenarioVersionHandoff = builder.objectRef<Member['handoffs'][number]>('ScenarioVersionHandoff').implement({
  description: 'A handoff that a version of a scenario allows.',
  fields: (t) => ({
    toAgent: t.field({
      type: AgentRef,
      description: 'The agent that receives the conversation, as it is now.',
      resolve: ({ toAgentId }, _args, context) => loadExistingAgent(context, toAgentId),
    }),
    description: t.exposeString('description', {
      nullable: true,
      description:
        'When to hand off. The model reads it as the description of the transfer tool. Null if the description of the other agent is used.',
    }),
  }),
});

const ScenarioVersionAgent = builder.objectRef<Member>('ScenarioVersionAgent').implement({
  description: 'A member of a version of a scenario.',
  fields: (t) => ({
    agent: t.field({
      type: AgentRef,
      description: 'The agent, as it is now: versions of a scenario contain the graph, and not its agents.',
      resolve: ({ agentId }, _args, context) => loadExistingAgent(context, agentId),
    }),
    isDeleted: t.boolean({
      description: 'Whether the agent was deleted since. Then the version cannot be restored.',
      resolve: async ({ agentId }, _args, context) => (await loadExistingAgent(context, agentId)).deletedAt !== null,
    }),
    isRoot: t.exposeBoolean('isRoot', { description: 'Whether the agent is the root agent.' }),
    handoffs: t.field({
      type: [ScenarioVersionHandoff],
      description: 'The handoffs that the agent may make, in the order in which they are offered to the model.',
      resolve: ({ handoffs }) => [...handoffs],
    }),
  }),
});

/** Versions of scenarios in the graph. */
export const ScenarioVersionRef = builder.objectRef<ScenarioVersion>('ScenarioVersion').implement({
  description: 'A scenario as it was at one of its versions. `restoreScenarioVersion` gives it back to the scenario.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'The number of the version, from 1.' }),
    changedBy: t.exposeString('changedBy', {
      nullable: true,
      description:
        'The id of the user who made the version; `erased` if the user was erased. Null: the server made it, from a file or a seed, or it was there before versions were stored.',
    }),
    restoredFrom: t.exposeInt('restoredFrom', {
      nullable: true,
      description: 'The number of the version that was restored by making this one. Null: none was.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the version was made.' }),
    key: t.exposeString('key', { description: 'The key by which clients selected the scenario.' }),
    name: t.exposeString('name', { description: 'The name to show to people.' }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'What the scenario was for. Null if nothing was said of it.',
    }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project to which the scenario was limited. Null if all projects of the tenant could use it.',
      resolve: (version, _args, context) => loadProject(context, version),
    }),
    isActive: t.exposeBoolean('isActive', { description: 'Whether new conversations could use the scenario.' }),
    agents: t.field({
      type: [ScenarioVersionAgent],
      description: 'The members, the root agent first.',
      resolve: ({ members }) => members.toSorted((one, other) => Number(other.isRoot) - Number(one.isRoot)),
    }),
    guardrails: t.field({
      type: [GuardrailRef],
      description: 'The guardrails of all members, in their order.',
      resolve: ({ guardrails }) => [...guardrails],
    }),
    orchestration: t.field({
      type: OrchestrationRef,
      description: 'How the agent that answered was chosen.',
      resolve: ({ orchestration }) => orchestration,
    }),
  }),
});
