import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { listScenarios, readScenario } from '../read.ts';

/** The members of a scenario, root first. Fields that load them alike share one selection. */
const rootFirst = { orderBy: [{ isRoot: 'desc' as const }, { position: 'asc' as const }, { agentId: 'asc' as const }] };

const HandoffEdge = builder.prismaObject('HandoffEdge', {
  fields: (t) => ({
    toAgent: t.field({
      type: AgentRef,
      description: 'Who may be given the floor.',
      select: (_args, _context, nested) => ({ to: { include: { agent: nested() } } }),
      resolve: (edge) => edge.to.agent,
    }),
    description: t.exposeString('description', { nullable: true }),
  }),
});

const ScenarioAgent = builder.prismaObject('ScenarioAgent', {
  fields: (t) => ({
    agent: t.relation('agent', { description: 'The agent.' }),
    isRoot: t.exposeBoolean('isRoot', {}),
    handoffs: t.relation('handoffs', {
      type: HandoffEdge,
      description: 'To whom it may give the floor, in order.',
      query: { orderBy: [{ position: 'asc' }, { toAgentId: 'asc' }] },
    }),
  }),
});

/** Scenarios in the graph. */
export const ScenarioRef = builder.prismaObject('Scenario', {
  fields: (t) => ({
    key: t.exposeString('key', {}),
    name: t.exposeString('name', {}),
    description: t.exposeString('description', { nullable: true }),
    projectId: t.exposeString('projectId', { nullable: true }),
    rootAgent: t.field({
      type: AgentRef,
      description: 'Who has the floor when a conversation begins.',
      select: (_args, _context, nested) => ({ agents: { ...rootFirst, include: { agent: nested() } } }),
      resolve: (scenario) => {
        const root = scenario.agents.find((member) => member.isRoot);
        if (root === undefined) throw new Error(`Scenario ${scenario.id} has no root agent.`);
        return root.agent;
      },
    }),
    agents: t.relation('agents', {
      type: ScenarioAgent,
      description: 'Its members, the root first.',
      query: rootFirst,
    }),
    guardrails: t.expose('guardrails', { type: 'JSON' }),
    isActive: t.exposeBoolean('isActive', {}),
    version: t.exposeInt('version', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
  }),
});

builder.nodeRef(ScenarioRef, {
  id: { resolve: (scenario: typeof ScenarioRef.$inferType) => scenario.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readScenario(
        context.viewer,
        context.db,
        { id: formatId('Scenario', row) },
        includeUnder(context, info, 'Scenario'),
      ),
    ),
});

builder.queryFields((t) => ({
  scenarios: t.connection(
    {
      type: ScenarioRef,
      description: 'The tenant’s scenarios, oldest first.',
      args: {
        projectId: t.arg.string({
          description:
            'Only those that conversations of this project can use: its own, and the tenant’s whose keys it has not itself.',
        }),
      },
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listScenarios(context.viewer, context.db, args, includeUnder(context, info, 'Scenario', toNodes)),
    },
    { name: 'ScenarioConnection', description: 'A page of scenarios.' },
    { name: 'ScenarioEdge', description: 'A scenario in a page.' },
  ),
  scenario: t.prismaField({
    type: ScenarioRef,
    nullable: true,
    description: 'A scenario of the tenant, by its id or by its key: exactly one of them.',
    args: {
      id: t.arg.id({ description: 'The scenario’s id, scn_….' }),
      key: t.arg.string({ description: 'What the front end names it by.' }),
      projectId: t.arg.string({
        description: 'With a key: the scenario that a conversation of this project gets, its own before the tenant’s.',
      }),
    },
    resolve: (query, _root, args, context) => readScenario(context.viewer, context.db, args, query),
  }),
}));
