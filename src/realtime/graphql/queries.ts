import { builder } from '../../graphql/builder.ts';
import { readRealtimeSession } from '../sessions.ts';
import { RealtimeSession, showSession } from './types.ts';

builder.queryField('realtimeSession', (t) =>
  t.field({
    type: RealtimeSession,
    nullable: true,
    description:
      'One realtime session of the viewer, without its key. Sessions can be read for a week after they have ended. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The id of the session, such as `rts_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: async (_root, args, context) =>
      showSession(await readRealtimeSession(context.viewer, context.db, args.id)),
  }),
);
