import { builder } from '../../graphql/builder.ts';
import { deleteMemory, saveMemory } from '../write.ts';
import { MemoryRef } from './types.ts';

const memoryId = 'The memory’s id, such as `mem_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  saveMemory: t.prismaField({
    type: MemoryRef,
    description:
      'Saves what agents remember of the viewer: a new memory, or another text in place of that of one. At most 500 of each user. CONFLICT if the operator has not switched memories on (MEMORY).',
    args: {
      id: t.arg.id({ description: `${memoryId} Null: a new one.` }),
      text: t.arg.string({
        required: true,
        description: 'The fact, 1 to 1,000 characters. Example: `I am allergic to nuts`.',
      }),
      projectId: t.arg.id({
        description:
          'The project in whose conversations alone it is used, by its id or its key, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`; the viewer needs the role EDITOR in it. Null: it is used in all conversations. If omitted, that of an existing memory stays.',
      }),
    },
    resolve: (query, _root, args, context) => saveMemory(context.viewer, context.memory, args, query),
  }),
  deleteMemory: t.id({
    description: 'Deletes a memory of the viewer, and returns its id.',
    args: { id: t.arg.id({ required: true, description: memoryId }) },
    resolve: (_root, args, context) => deleteMemory(context.viewer, context.db, args.id),
  }),
}));
