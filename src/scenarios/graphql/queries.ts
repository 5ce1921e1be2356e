import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { ScenarioRef } from '../../graphql/refs.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listScenarios, readScenario } from '../read.ts';
import { readScenarioVersion } from '../versions.ts';
import { ScenarioVersionRef } from './versions.ts';

builder.queryFields((t) => ({
  scenarios: t.connection(
    {
      type: ScenarioRef,
      description: 'The tenant’s scenarios, oldest first. 50 per page by default, at most 100.',
      args: {
        projectId: t.arg.string({
          description:
            'The id or the key of a project, such as `web-shop`: return only scenarios that its conversations can use, those of the project, and those of the tenant whose keys the project does not have itself. If omitted, also those of all projects of the viewer.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listScenarios(context.viewer, context, args, includeUnder(context, info, 'Scenario', toNodes)),
    },
    { name: 'ScenarioConnection', description: 'One page of a list of scenarios.' },
    { name: 'ScenarioEdge', description: 'A scenario in a list, with its cursor.' },
  ),
  scenario: t.prismaField({
    type: ScenarioRef,
    nullable: true,
    description:
      'One scenario of the tenant, by `id` or by `key`; give exactly one of the two. NOT_FOUND if it does not exist.',
    args: {
      id: t.arg.id({ description: 'The scenario’s id, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.' }),
      key: t.arg.string({ description: 'The scenario’s key, such as `support`.' }),
      projectId: t.arg.string({
        description:
          'With `key`, the id or the key of a project: return the scenario that a conversation of this project gets. A scenario of the project takes precedence over the tenant’s.',
      }),
    },
    resolve: (query, _root, args, context) => readScenario(context.viewer, context.db, args, query),
  }),
  scenarioVersion: t.field({
    type: ScenarioVersionRef,
    nullable: true,
    description:
      'One version of a scenario, the present one or an earlier one. NOT_FOUND if it does not exist, or is stored no longer. Only admins may read it.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The scenario’s id, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      version: t.arg.int({ required: true, description: 'The number of the version, from 1.' }),
    },
    resolve: (_root, args, context) => readScenarioVersion(context.viewer, context, args),
  }),
}));
