import type { Connection } from '../../api/paging.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { type MessageHit, searchMessages } from '../search/search-messages.ts';
import { MessageRef } from './message-types.ts';

const MessageHitRef = builder.objectRef<MessageHit>('MessageHit').implement({
  description: 'A message that a search has found.',
  fields: (t) => ({
    message: t.field({ type: MessageRef, description: 'The message.', resolve: ({ message }) => message }),
    snippet: t.exposeString('snippet', {
      description:
        'The part of its text around the first hit, on one line. Each hit stands between the characters U+E000 and U+E001; the rest is plain text, never markup. `…` is where the text goes on.',
    }),
    score: t.exposeFloat('score', {
      description:
        'How well the message fits: by how often it has the words, and how long it is. It orders the hits of one search, and says nothing beside that.',
    }),
  }),
});

const MessageHitEdge = builder.objectRef<Connection<MessageHit>['edges'][number]>('MessageHitEdge').implement({
  description: 'A message that a search has found, with its position in the list.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', {
      description: 'The opaque position of the hit in the list. Pass it as `after` to read on from here.',
    }),
    node: t.field({ type: MessageHitRef, description: 'The hit.', resolve: ({ node }) => node }),
  }),
});

const MessageHitConnection = builder.objectRef<Connection<MessageHit>>('MessageHitConnection').implement({
  description:
    'One page of the hits of a search, the best first. It is ranked: it goes forward only, and has no total.',
  fields: (t) => ({
    edges: t.field({
      type: [MessageHitEdge],
      complexity: { field: 1, multiplier: 1 },
      description: 'The hits of this page, the best first.',
      resolve: ({ edges }) => edges,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Where the page begins and ends, and whether there are more pages.',
      resolve: ({ pageInfo }) => pageInfo,
    }),
  }),
});

builder.queryField('searchMessages', (t) =>
  t.field({
    type: MessageHitConnection,
    description:
      'The messages of all conversations of the viewer that have all words of a text, the best first: of all branches, and of archived conversations too. Upper and lower case and accents do not matter; the last word may be the beginning of one. Of Chinese, Japanese, Korean and Thai texts, any part is found. What a guardrail has blocked is not found. 50 per page by default, at most 100.',
    args: {
      query: t.arg.string({ required: true, description: 'What to look for, 1 to 200 characters. Example: `refund`.' }),
      first: t.arg.int({ description: 'The number of hits from the best one, or from `after`: 1 to 100.' }),
      after: t.arg.string({ description: 'Return only the hits after this cursor, exclusive, of the same search.' }),
    },
    complexity: (args) => {
      const { field, multiplier } = estimatePageCost(args, pageSizes);
      return { field: field + 5, multiplier };
    },
    resolve: (_root, args, context, info) =>
      searchMessages(
        context.viewer,
        context,
        args,
        includeUnder(context, info, 'Message', ['edges', 'node', 'message']),
      ),
  }),
);
