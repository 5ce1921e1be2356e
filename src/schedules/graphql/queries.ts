import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { listSchedules } from '../read.ts';
import { ScheduleRef } from './types.ts';

builder.queryField('schedules', (t) =>
  t.connection(
    {
      type: ScheduleRef,
      description: 'The schedules of the viewer, the newest first. 50 per page by default, at most 100.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context) => listSchedules(context.viewer, context, args),
    },
    { name: 'ScheduleConnection', description: 'One page of a list of schedules.' },
    { name: 'ScheduleEdge', description: 'A schedule in a list, with its cursor.' },
  ),
);
