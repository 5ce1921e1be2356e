import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listMemories } from '../read.ts';
import { MemoryRef } from './types.ts';

builder.queryField('memories', (t) =>
  t.connection(
    {
      type: MemoryRef,
      description:
        'What agents remember of the viewer, the last changed first; nobody else sees it. 50 per page by default, at most 100.',
      args: {
        search: t.arg.string({
          description:
            'Only memories with all of these words, 1 to 200 characters; the last word may be the beginning of one. Example: `breakfast`.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listMemories(context.viewer, context, args, includeUnder(context, info, 'Memory', toNodes)),
    },
    { name: 'MemoryConnection', description: 'One page of a list of memories.' },
    { name: 'MemoryEdge', description: 'A memory in a list, with its cursor.' },
  ),
);
