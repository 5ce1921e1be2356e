import { builder } from '../../graphql/builder.ts';
import { chatTurn, followRun } from '../commands/follow.ts';
import { RunEvent } from './events.ts';
import { chatTurnInput } from './input.ts';

builder.subscriptionFields((t) => ({
  chatTurn: t.field({
    type: RunEvent,
    description:
      'Starts a turn, or attaches to the one this idempotencyKey started, and streams its events to the terminal one.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    subscribe: (_root, args, context) => chatTurn(context.viewer, context.runs, args.input),
    resolve: (event) => event,
  }),
  runEvents: t.field({
    type: RunEvent,
    description:
      'Every event of a run after `after`, past ones replayed, live ones followed, to the terminal one; from any instance.',
    args: {
      runId: t.arg.id({ required: true, description: 'The run’s id, run_….' }),
      after: t.arg.int({ defaultValue: 0, description: 'Only events after this seq. 0: all.' }),
    },
    subscribe: (_root, args, context) => followRun(context.viewer, context.runs, args.runId, args.after ?? 0),
    resolve: (event) => event,
  }),
}));
