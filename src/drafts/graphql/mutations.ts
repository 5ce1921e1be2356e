import { builder } from '../../graphql/builder.ts';
import { deleteDraft, saveDraft } from '../write.ts';
import { DraftRef } from './types.ts';

const SaveDraftInput = builder.inputType('SaveDraftInput', {
  description: 'A version of a draft to save, and where.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description:
        'The key, 1 to 255 characters: unique in the conversation, else in the project, else for the user. Example: `reply`.',
    }),
    title: t.string({
      description: 'The title, 1 to 255 characters. If omitted, it stays; a new draft has its key as its title.',
    }),
    content: t.field({
      type: 'JSON',
      required: true,
      description: 'The content, any JSON but null, at most 100,000 characters.',
    }),
    conversationId: t.id({
      description: 'The conversation of the viewer to which the draft belongs. Null: to none.',
    }),
    projectId: t.id({
      description:
        'The project to which the draft belongs, by its id or its key; EDITOR is the role that writes. Not together with a conversation. Null: to none.',
    }),
    expectedVersion: t.int({
      description:
        'The version that the draft has now, or CONFLICT. 0: it must not exist. If omitted, whatever there is gets its next version.',
    }),
  }),
});

builder.mutationFields((t) => ({
  saveDraft: t.prismaField({
    type: DraftRef,
    description:
      'Saves a draft under its key: creates it, or adds a version. CONFLICT if it does not have the expected version. At most 1,000 drafts in each conversation, in each project, and of each user alone.',
    args: { input: t.arg({ type: SaveDraftInput, required: true, description: 'What is saved, and where.' }) },
    resolve: (query, _root, args, context) => saveDraft(context.viewer, context.db, args.input, query),
  }),
  deleteDraft: t.id({
    description: 'Deletes a draft with all of its versions, and returns its id.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The draft’s id, such as `drf_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => deleteDraft(context.viewer, context.db, args.id),
  }),
}));
