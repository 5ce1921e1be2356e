import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listProjects, readProject } from '../read.ts';

builder.queryFields((t) => ({
  projects: t.connection(
    {
      type: ProjectRef,
      description:
        'The projects of which the viewer is a member, oldest first; for admins, all projects of the tenant. 50 per page by default, at most 100.',
      args: {
        includeArchived: t.arg.boolean({
          defaultValue: false,
          description: 'Whether to include archived projects.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listProjects(context.viewer, context.db, args, includeUnder(context, info, 'Project', toNodes)),
    },
    { name: 'ProjectConnection', description: 'One page of a list of projects.' },
    { name: 'ProjectEdge', description: 'A project in a list, with its cursor.' },
  ),
  project: t.prismaField({
    type: ProjectRef,
    nullable: true,
    description:
      'One project of the viewer. NOT_FOUND if it does not exist, FORBIDDEN if the viewer is not a member of it.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The project’s id, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key.',
      }),
    },
    resolve: (query, _root, args, context) => readProject(context.viewer, context.db, args.id, query),
  }),
}));
