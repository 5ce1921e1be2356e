import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { readMemory } from '../read.ts';

/** Memories in the graph. */
export const MemoryRef = builder.prismaObject('Memory', {
  fields: (t) => ({
    text: t.exposeString('text', {}),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project in whose conversations alone it is used. Null: it is used in all conversations.',
      resolve: ({ projectId }, _args, context) => (projectId === null ? null : context.projects.load(projectId)),
    }),
    createdByAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that has saved it with its tool `remember`. Null if the user has, or nobody knows.',
      resolve: ({ agentId }, _args, context) => (agentId === null ? null : context.agents.load(agentId)),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first saved.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed, or saved again.' }),
  }),
});

builder.nodeRef(MemoryRef, {
  id: { resolve: (memory: typeof MemoryRef.$inferType) => memory.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readMemory(context.viewer, context.db, formatId('Memory', row), includeUnder(context, info, 'Memory'))),
});
