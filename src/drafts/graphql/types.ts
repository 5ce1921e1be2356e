import { formatId } from '../../api/ids.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { readDraft, readVersions } from '../read.ts';

const DraftVersion = builder.prismaObject('DraftVersion', {
  fields: (t) => ({
    version: t.exposeInt('version', {}),
    content: t.expose('content', { type: 'JSON' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the version was saved.' }),
  }),
});

/** Drafts in the graph. */
export const DraftRef = builder.prismaObject('Draft', {
  fields: (t) => ({
    key: t.exposeString('key', {
      description: 'The key, such as `reply`: unique in the conversation, else in the project, else for the user.',
    }),
    title: t.exposeString('title', {}),
    content: t.expose('content', { type: 'JSON' }),
    version: t.exposeInt('version', {
      description: 'The number of the current version, from 1. Pass it as `expectedVersion` to `saveDraft`.',
    }),
    versions: t.field({
      type: [DraftVersion],
      description:
        'The versions, the current one first: the last 50, with 1,000,000 bytes together at most. The oldest are deleted first.',
      resolve: batchField(
        ({ id }: { readonly id: string }) => id,
        (drafts, _args: object, context) => readVersions(context.viewer, context, drafts),
      ),
    }),
    conversation: t.relation('conversation', {
      nullable: true,
      description: 'The conversation to which the draft belongs. Null if it belongs to none.',
    }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project to which the draft belongs. Null if it belongs to none.',
      resolve: ({ projectId }, _args, context) => (projectId === null ? null : context.projects.load(projectId)),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the draft was first saved.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the current version was saved.' }),
  }),
});

builder.nodeRef(DraftRef, {
  id: { resolve: (draft: typeof DraftRef.$inferType) => draft.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readDraft(context.viewer, context.db, { id: formatId('Draft', row) }, includeUnder(context, info, 'Draft')),
    ),
});
