import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { loadExistingAgent } from '../../graphql/existing-agent.ts';
import { loadProject } from '../../graphql/load-project.ts';
import { AgentRef, GuardrailRef, ProjectRef, ScenarioRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { readGuardrails } from '../../guardrails/config.ts';
import { readOrchestration } from '../orchestration.ts';
import { readScenario } from '../read.ts';
import { listVersions } from '../versions.ts';
import { OrchestrationRef } from './orchestration.ts';
import { ScenarioVersionRef } from './versions.ts';

/** The members of a scenario, root first. Fields that load them alike share one selection. */
const rootFirst = { orderBy: [{ isRoot: 'desc' as const }, { position: 'asc' as const }, { agentId: 'asc' as const }] };

// Not named like its table: Relay takes types that end with Edge for edges of connections.
const ScenarioHandoff = builder.prismaObject('HandoffEdge', {
  name: 'ScenarioHandoff',
  fields: (t) => ({
    toAgent: t.field({
      type: AgentRef,
      description: 'The agent that receives the conversation.',
      resolve: ({ toAgentId }, _args, context) => loadExistingAgent(context, toAgentId),
    }),
    description: t.exposeString('description', { nullable: true }),
  }),
});

const ScenarioAgent = builder.prismaObject('ScenarioAgent', {
  fields: (t) => ({
    agent: t.field({
      type: AgentRef,
      description: 'The agent.',
      resolve: ({ agentId }, _args, context) => loadExistingAgent(context, agentId),
    }),
    isRoot: t.exposeBoolean('isRoot', {}),
    handoffs: t.relation('handoffs', {
      type: ScenarioHandoff,
      description: 'The handoffs that the agent may make, in the order in which they are offered to the model.',
      query: { orderBy: [{ position: 'asc' }, { toAgentId: 'asc' }] },
    }),
  }),
});

builder.prismaObjectFields(ScenarioRef, (t) => ({
  key: t.exposeString('key', {}),
  name: t.exposeString('name', {}),
  description: t.exposeString('description', { nullable: true }),
  projectId: t.string({
    nullable: true,
    description: 'The key of `project`. Null if all projects of the tenant can use the scenario.',
    resolve: async (scenario, _args, context) => (await loadProject(context, scenario))?.key ?? null,
  }),
  project: t.field({
    type: ProjectRef,
    nullable: true,
    description: 'The project to which the scenario is limited. Null if all projects of the tenant can use it.',
    resolve: (scenario, _args, context) => loadProject(context, scenario),
  }),
  rootAgent: t.field({
    type: AgentRef,
    description: 'The root agent: the one that is active when a conversation starts.',
    select: { agents: rootFirst },
    resolve: (scenario, _args, context) => {
      const root = scenario.agents.find((member) => member.isRoot);
      if (root === undefined) throw new Error(`Scenario ${scenario.id} has no root agent.`);
      return loadExistingAgent(context, root.agentId);
    },
  }),
  agents: t.relation('agents', {
    type: ScenarioAgent,
    description: 'The members of the scenario: its agents, the root agent first.',
    query: rootFirst,
  }),
  guardrails: t.field({
    type: [GuardrailRef],
    description: 'The guardrails of all members, beside those that the members have themselves, in their order.',
    resolve: ({ guardrails }) => [...readGuardrails(guardrails)],
  }),
  orchestration: t.field({
    type: OrchestrationRef,
    description: 'How the agent that answers is chosen.',
    resolve: (scenario) => readOrchestration(scenario),
  }),
  unreadGuardrails: t.expose('unreadGuardrails', { type: 'JSON', nullable: true }),
  isActive: t.exposeBoolean('isActive', {}),
  version: t.exposeInt('version', {}),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the scenario was created.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the scenario was last changed.' }),
  versions: t.connection(
    {
      type: ScenarioVersionRef,
      nullable: true,
      description:
        'The versions, the present one first: the last 50, with 1,000,000 bytes together at most. The oldest are deleted first. 50 per page by default, at most 100. Null for users who are no admins.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: batchField(
        ({ id }: { readonly id: string }) => id,
        (scenarios, args, context) =>
          listVersions(
            context.viewer,
            context,
            args,
            scenarios.map(({ id }) => id),
          ),
      ),
    },
    { name: 'ScenarioVersionConnection', description: 'One page of the versions of a scenario.' },
    { name: 'ScenarioVersionEdge', description: 'A version in a list, with its cursor.' },
  ),
}));

builder.nodeRef(ScenarioRef, {
  id: { resolve: (scenario: typeof ScenarioRef.$inferType) => scenario.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readScenario(
        context.viewer,
        context.db,
        { id: formatId('Scenario', row) },
        includeUnder(context, info, 'Scenario'),
      ),
    ),
});
