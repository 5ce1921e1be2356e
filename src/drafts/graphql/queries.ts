import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listDrafts, readDraft } from '../read.ts';
import { DraftRef } from './types.ts';

const conversationId = 'A conversation of the viewer, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';
const projectId =
  'A project of which the viewer is a member, by its id or its key, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Not together with a conversation.';

builder.queryFields((t) => ({
  drafts: t.connection(
    {
      type: DraftRef,
      description:
        'The drafts of a conversation or of a project; without either, those that belong to the viewer alone. The last changed comes first. 50 per page by default, at most 100.',
      args: {
        conversationId: t.arg.id({ description: conversationId }),
        projectId: t.arg.id({ description: projectId }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listDrafts(context.viewer, context, args, includeUnder(context, info, 'Draft', toNodes)),
    },
    { name: 'DraftConnection', description: 'One page of a list of drafts.' },
    { name: 'DraftEdge', description: 'A draft in a list, with its cursor.' },
  ),
  draft: t.prismaField({
    type: DraftRef,
    nullable: true,
    description:
      'One draft, by its id, or by its key in a conversation or a project; a key alone names a draft that belongs to the viewer alone. NOT_FOUND if it does not exist, FORBIDDEN if the viewer may not read it.',
    args: {
      id: t.arg.id({ description: 'The draft’s id, such as `drf_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.' }),
      key: t.arg.string({ description: 'The key of the draft, 1 to 255 characters. Example: `reply`.' }),
      conversationId: t.arg.id({ description: conversationId }),
      projectId: t.arg.id({ description: projectId }),
    },
    resolve: (query, _root, args, context) => readDraft(context.viewer, context.db, args, query),
  }),
}));
