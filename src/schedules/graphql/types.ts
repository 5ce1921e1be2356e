import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, ScenarioRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode, toNodes } from '../../graphql/selection.ts';
import { RunConnection } from '../../runs/graphql/run.ts';
import { RunEdge, RunRef } from '../../runs/graphql/run-ref.ts';
import { listScheduledRuns, readScenarioOf, readSchedule } from '../read.ts';

/** Schedules in the graph. */
export const ScheduleRef = builder.prismaObject('Schedule', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    cron: t.exposeString('cron', {}),
    timeZone: t.exposeString('timeZone', {}),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that answers. Null: that of the scenario, or the default one; or it was deleted.',
      resolve: ({ agentId }, _args, context) => (agentId === null ? null : context.agents.load(agentId)),
    }),
    scenario: t.field({
      type: ScenarioRef,
      nullable: true,
      description: 'The scenario of the conversations. Null: none, or it was deleted.',
      resolve: ({ scenarioId }, _args, context) => readScenarioOf(context.viewer, context.db, scenarioId),
    }),
    content: t.exposeString('content', {}),
    isActive: t.exposeBoolean('isActive', {}),
    nextAt: t.expose('nextAt', { type: 'DateTime', nullable: true }),
    lastError: t.exposeString('lastError', { nullable: true }),
    runs: t.connection(
      {
        type: RunRef,
        description: 'The runs that it has started, the last due time first. 50 per page by default, at most 100.',
        complexity: (args) => estimatePageCost(args, pageSizes),
        resolve: ({ id }, args, context, info) =>
          listScheduledRuns(context.viewer, context, id, args, includeUnder(context, info, 'Run', toNodes)),
      },
      RunConnection,
      RunEdge,
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
  }),
});

builder.nodeRef(ScheduleRef, {
  id: { resolve: (schedule: typeof ScheduleRef.$inferType) => schedule.id },
  loadWithoutCache: (row, context) => loadNode(readSchedule(context.viewer, context.db, formatId('Schedule', row))),
});
