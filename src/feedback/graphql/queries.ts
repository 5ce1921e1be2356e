import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listFeedback } from '../list.ts';
import { FeedbackRating, FeedbackRef } from './types.ts';

builder.queryField('feedback', (t) =>
  t.connection(
    {
      type: FeedbackRef,
      nullable: true,
      description:
        'What the users of the tenant think of answers, the newest first. 50 per page by default, at most 100. Only admins can see it: for others it is null, with FORBIDDEN.',
      args: {
        rating: t.arg({ type: FeedbackRating, description: 'Return only feedback with this rating.' }),
        agentId: t.arg.id({
          description:
            'Return only feedback on answers of this agent, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
        }),
        scenarioId: t.arg.id({
          description:
            'Return only feedback on turns of this scenario, such as `scn_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listFeedback(context.viewer, context, args, includeUnder(context, info, 'Feedback', toNodes)),
    },
    { name: 'FeedbackConnection', description: 'One page of feedback.' },
    { name: 'FeedbackEdge', description: 'Feedback, with its position in the list.' },
  ),
);
