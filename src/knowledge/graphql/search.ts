import { NotFoundError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { KnowledgeDocumentRef } from '../../graphql/refs.ts';
import { type KnowledgeHit, searchKnowledge } from '../search/search.ts';

const KnowledgeHitRef = builder.objectRef<KnowledgeHit>('KnowledgeHit').implement({
  description: 'A passage of a document that a search has found.',
  fields: (t) => ({
    documentId: t.id({
      description: 'The document’s id, such as `doc_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ documentId }) => formatId('KnowledgeDocument', documentId),
    }),
    document: t.field({
      type: KnowledgeDocumentRef,
      description: 'The document.',
      resolve: async ({ documentId }, _args, context) => {
        const document = await context.documents.load(documentId);
        if (document === null) throw new NotFoundError('The document was deleted meanwhile.');
        return document;
      },
    }),
    title: t.exposeString('title', { description: 'The title of the document.' }),
    url: t.exposeString('url', {
      nullable: true,
      description: 'The address from which the document was read. Null if it has none.',
    }),
    text: t.exposeString('text', { description: 'The whole passage.' }),
    quote: t.exposeString('quote', {
      description: 'The part of the passage that fits the search best, at most 300 characters.',
    }),
    position: t.exposeInt('position', { description: 'The number of the passage in its document, from 1.' }),
    score: t.exposeFloat('score', {
      description:
        'How well the passage fits: the sum of 1 / (60 + rank) over its ranks by words and by meaning. It orders the hits of one search, and says nothing beside that.',
    }),
  }),
});

builder.queryField('searchKnowledge', (t) =>
  t.field({
    type: [KnowledgeHitRef],
    description:
      'The passages that fit a text best, of the knowledge bases that the viewer may read: by their words and, if a base has vectors, by their meaning. `"a phrase"`, `-without` and `this OR that` are understood as by search engines, and then only words count; the last word may be the beginning of one.',
    args: {
      query: t.arg.string({ required: true, description: 'What to look for, 1 to 1,000 characters.' }),
      knowledgeBaseIds: t.arg.idList({
        description:
          'Only these knowledge bases, at most 100, by ids such as `kb_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. If omitted, all.',
      }),
      limit: t.arg.int({ defaultValue: 5, description: 'Return at most so many passages, 1 to 50.' }),
      projectId: t.arg.id({
        description:
          'Only knowledge bases of this project, given by its id, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key.',
      }),
      metadata: t.arg({
        type: 'JSON',
        description:
          'Only documents whose metadata contains this JSON object of at most 4,000 characters. Example: `{"product": "cups"}`.',
      }),
    },
    complexity: ({ limit }) => ({ field: 5, multiplier: Math.min(Math.max(1, limit ?? 5), 50) }),
    resolve: (_root, args, context) =>
      searchKnowledge(context.viewer, context.search, args, context.signal ?? new AbortController().signal),
  }),
);
