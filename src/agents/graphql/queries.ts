import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listAgents, readAgent, readCurrentAgent } from '../read.ts';

builder.queryFields((t) => ({
  agents: t.connection(
    {
      type: AgentRef,
      description:
        'The agents that the viewer may use: their own and the shared ones, oldest first. 50 per page by default, at most 100.',
      args: {
        includeInactive: t.arg.boolean({
          description: 'Whether to include agents that are switched off. Default: false.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listAgents(context.viewer, context, args, includeUnder(context, info, 'Agent', toNodes)),
    },
    { name: 'AgentConnection', description: 'One page of a list of agents.' },
    { name: 'AgentEdge', description: 'An agent in a list, with its cursor.' },
  ),
  agent: t.prismaField({
    type: AgentRef,
    nullable: true,
    description:
      'One agent that the viewer may use. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readAgent(context.viewer, context.db, args.id, query),
  }),
  currentAgent: t.prismaField({
    type: AgentRef,
    description:
      'The agent that answers in conversations that have neither a scenario nor an agent: the viewer’s default agent, otherwise the tenant’s default agent, otherwise the agent named `development`.',
    resolve: (query, _root, _args, context) => readCurrentAgent(context.viewer, context.db, query),
  }),
}));
