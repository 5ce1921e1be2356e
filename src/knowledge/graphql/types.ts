import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { KnowledgeBaseRef, KnowledgeDocumentRef, ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode, toNodes } from '../../graphql/selection.ts';
import { listDocumentsOfBases, readBase, readDocument } from '../read.ts';

const KnowledgeDocumentStatus = builder.enumType('KnowledgeDocumentStatus', {
  description: 'How far the indexing of a document is.',
  values: {
    QUEUED: { description: 'It waits to be indexed, for the first time or again.' },
    INDEXING: { description: 'It is being indexed. Until it is complete, searches find what was indexed before.' },
    READY: { description: 'It is indexed, and searches find it.' },
    FAILED: {
      description: '`error` says why it could not be indexed. Searches find what was indexed before, if there is any.',
    },
  } as const,
});

builder.prismaObjectFields(KnowledgeDocumentRef, (t) => ({
  knowledgeBase: t.relation('base', {
    type: KnowledgeBaseRef,
    description: 'The knowledge base to which the document belongs.',
  }),
  title: t.exposeString('title', { description: 'The title to show to people. Citations contain it.' }),
  mediaType: t.exposeString('mediaType', {
    description:
      'The media type of the source, such as `text/markdown`. That of an address which was not read yet can be `application/octet-stream`.',
  }),
  url: t.exposeString('url', {
    nullable: true,
    description: 'The address from which it is read. Null if it was uploaded or given as a text.',
  }),
  size: t.exposeInt('size', {
    description: 'The size of the source in bytes. 0 until a document with an address was read.',
  }),
  metadata: t.field({
    type: 'JSON',
    description: 'What the client says of it, as a JSON object. Searches can be limited by it.',
    resolve: ({ metadata }) => metadata,
  }),
  status: t.expose('status', { type: KnowledgeDocumentStatus, description: 'How far its indexing is.' }),
  progress: t.exposeFloat('progress', { description: 'How much of the indexing is done, from 0 to 1.' }),
  error: t.exposeString('error', {
    nullable: true,
    description: 'Why indexing has failed, in one or two sentences. Null unless `status` is FAILED.',
  }),
  chunkCount: t.exposeInt('chunkCount', {
    description: 'The number of passages into which it was divided, and which searches find. 0 before it was indexed.',
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was added.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed or indexed.' }),
}));

builder.prismaObjectFields(KnowledgeBaseRef, (t) => ({
  name: t.exposeString('name', {}),
  description: t.exposeString('description', { nullable: true }),
  language: t.exposeString('language', {}),
  project: t.field({
    type: ProjectRef,
    nullable: true,
    description:
      'The project to which the base belongs. Null: it belongs to the tenant, and all its users can read it.',
    resolve: ({ projectId }, _args, context) => (projectId === null ? null : context.projects.load(projectId)),
  }),
  documents: t.connection(
    {
      type: KnowledgeDocumentRef,
      description: 'The documents of the base, oldest first. 50 per page by default, at most 100.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: batchField(
        ({ id }: Pick<typeof KnowledgeBaseRef.$inferType, 'id' | 'documentCount'>) => id,
        (bases, args, context, info) =>
          listDocumentsOfBases(
            context.viewer,
            context.db,
            bases,
            args,
            includeUnder(context, info, 'KnowledgeDocument', toNodes),
          ),
      ),
    },
    { name: 'KnowledgeDocumentConnection', description: 'One page of a list of documents.' },
    { name: 'KnowledgeDocumentEdge', description: 'A document in a list, with its cursor.' },
  ),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the base was created.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the base itself was last changed.' }),
}));

builder.nodeRef(KnowledgeBaseRef, {
  id: { resolve: (base: typeof KnowledgeBaseRef.$inferType) => base.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readBase(
        context.viewer,
        context.db,
        formatId('KnowledgeBase', row),
        includeUnder(context, info, 'KnowledgeBase'),
      ),
    ),
});

builder.nodeRef(KnowledgeDocumentRef, {
  id: { resolve: (document: typeof KnowledgeDocumentRef.$inferType) => document.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readDocument(
        context.viewer,
        context.db,
        formatId('KnowledgeDocument', row),
        includeUnder(context, info, 'KnowledgeDocument'),
      ),
    ),
});
