import { builder } from '../../graphql/builder.ts';
import { chatTurn, followRun } from '../commands/follow.ts';
import { RunEvent } from './events.ts';
import { chatTurnInput } from './input.ts';

builder.subscriptionFields((t) => ({
  chatTurn: t.field({
    type: RunEvent,
    description:
      'Starts a turn, or attaches to the turn that this `idempotencyKey` started, and streams its events up to the terminal one.',
    args: { input: t.arg({ type: chatTurnInput, required: true, description: 'The turn.' }) },
    subscribe: (_root, args, context) => chatTurn(context.viewer, context.runs, args.input),
    resolve: (event) => event,
  }),
  runEvents: t.field({
    type: RunEvent,
    description:
      'Streams the events of a run: first those of the past, then the live ones, up to the terminal one. Works on every server process, also after the run has ended.',
    args: {
      runId: t.arg.id({
        required: true,
        description: 'The run’s id, such as `run_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      after: t.arg.int({
        defaultValue: 0,
        description:
          'Return only events with a higher `seq`, such as the `seq` of the last event that you received. 0 returns all events.',
      }),
    },
    subscribe: (_root, args, context) => followRun(context.viewer, context.runs, args.runId, args.after ?? 0),
    resolve: (event) => event,
  }),
}));
