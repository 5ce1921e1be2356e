import { builder } from '../../graphql/builder.ts';
import { createSchedule, deleteSchedule, updateSchedule } from '../write.ts';
import { ScheduleRef } from './types.ts';

const ScheduleInput = builder.inputType('ScheduleInput', {
  description: 'A schedule: what is asked, of whom, and when.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name, 1 to 200 characters: the title of the conversations.' }),
    cron: t.string({
      required: true,
      description:
        'The cron expression: minute, hour, day of the month, month, day of the week. Example: `0 9 * * MON-FRI`. One that never comes is BAD_USER_INPUT.',
    }),
    timeZone: t.string({ defaultValue: 'UTC', description: 'The IANA time zone, such as `Europe/Berlin`.' }),
    agentId: t.id({
      description:
        'The agent that answers, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Null: that of the scenario, or the default one.',
    }),
    scenarioKey: t.string({ description: 'The scenario of the conversations, by its key. Null: none.' }),
    content: t.string({
      required: true,
      description:
        'The message that begins each turn, 1 to 30,000 characters. `{{date}}` and `{{time}}` become the due time in the time zone, `{{dueAt}}` that in UTC.',
    }),
    isActive: t.boolean({ defaultValue: true, description: 'Whether it starts turns.' }),
  }),
});

const id = 'The schedule’s id, such as `sch_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  createSchedule: t.field({
    type: ScheduleRef,
    description:
      'Creates a schedule of the viewer: it starts a turn at each due time, once, in a conversation of its own. The turns have none of the roles of the viewer’s token. At most 50 for each user and 1,000 for a tenant; CONFLICT if there are more.',
    args: { input: t.arg({ type: ScheduleInput, required: true, description: 'The schedule.' }) },
    resolve: (_root, args, context) => createSchedule(context.viewer, context.db, args.input),
  }),
  updateSchedule: t.field({
    type: ScheduleRef,
    description: 'Replaces a schedule. If it is switched off, what has not started does not start.',
    args: {
      id: t.arg.id({ required: true, description: id }),
      input: t.arg({ type: ScheduleInput, required: true, description: 'The schedule, whole.' }),
    },
    resolve: (_root, args, context) => updateSchedule(context.viewer, context.db, args.id, args.input),
  }),
  deleteSchedule: t.id({
    description: 'Deletes a schedule with its history, and returns its id. Its conversations and runs stay.',
    args: { id: t.arg.id({ required: true, description: id }) },
    resolve: (_root, args, context) => deleteSchedule(context.viewer, context.db, args.id),
  }),
}));
