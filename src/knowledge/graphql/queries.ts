import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { KnowledgeBaseRef, KnowledgeDocumentRef } from '../../graphql/refs.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { followBase } from '../follow.ts';
import { listBases, readBase, readDocument } from '../read.ts';

const baseId = 'The knowledge base’s id, such as `kb_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.queryFields((t) => ({
  knowledgeBases: t.connection(
    {
      type: KnowledgeBaseRef,
      description:
        'The knowledge bases that the viewer may read, oldest first: those of the tenant, and those of the viewer’s projects. 50 per page by default, at most 100.',
      args: {
        projectId: t.arg.id({
          description:
            'The id of a project, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key: return only its bases.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listBases(context.viewer, context.db, args, includeUnder(context, info, 'KnowledgeBase', toNodes)),
    },
    { name: 'KnowledgeBaseConnection', description: 'One page of a list of knowledge bases.' },
    { name: 'KnowledgeBaseEdge', description: 'A knowledge base in a list, with its cursor.' },
  ),
  knowledgeBase: t.prismaField({
    type: KnowledgeBaseRef,
    nullable: true,
    description:
      'One knowledge base. NOT_FOUND if it does not exist, FORBIDDEN if the viewer is not a member of its project.',
    args: { id: t.arg.id({ required: true, description: baseId }) },
    resolve: (query, _root, args, context) => readBase(context.viewer, context.db, args.id, query),
  }),
  knowledgeDocument: t.prismaField({
    type: KnowledgeDocumentRef,
    nullable: true,
    description:
      'One document. NOT_FOUND if it does not exist, FORBIDDEN if the viewer is not a member of the project of its base.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The document’s id, such as `doc_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readDocument(context.viewer, context.db, args.id, query),
  }),
}));

builder.subscriptionField('knowledgeEvents', (t) =>
  t.field({
    type: KnowledgeDocumentRef,
    description:
      'The documents of a base, each one whenever it has changed: its progress, its status, its fields. A client that reads slowly gets the latest state of each document. Ends when the base is deleted, or the viewer may not read it any more. Works on every server process.',
    args: { knowledgeBaseId: t.arg.id({ required: true, description: baseId }) },
    subscribe: (_root, args, context) => followBase(context.viewer, context.knowledge, args.knowledgeBaseId),
    resolve: (document) => document,
  }),
);
