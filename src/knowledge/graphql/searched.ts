import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, KnowledgeBaseRef } from '../../graphql/refs.ts';
import { readBasesOfAgents } from '../search/bases-of-agents.ts';
import { listSearchModes } from '../vectors/search-modes.ts';

const KnowledgeSearchMode = builder.enumType('KnowledgeSearchMode', {
  description: 'How a knowledge base is searched.',
  values: {
    FULL_TEXT: { description: 'By the words of its texts.' },
    VECTOR: { description: 'By the meaning of its texts as well, with the vectors of an embedding model.' },
  } as const,
});

builder.prismaObjectField(KnowledgeBaseRef, 'searchModes', (t) =>
  t.field({
    type: [KnowledgeSearchMode],
    description:
      'How the base is searched. Without VECTOR, the database has no pgvector, or neither the base nor the server has an embedding model.',
    resolve: ({ embedding }, _args, context) => listSearchModes(context.search.vectors, embedding),
  }),
);

/** What an agent counts in the cost of an operation: it has a few bases. */
const usualBases = 5;

builder.prismaObjectField(AgentRef, 'knowledgeBases', (t) =>
  t.field({
    type: [KnowledgeBaseRef],
    description:
      'The knowledge bases that the agent searches with its tool `search_knowledge`, of those that the viewer may read. Without that tool in `toolNames`, nothing is searched. Empty: those of the conversation’s project, otherwise those of the tenant that belong to no project.',
    complexity: { field: 1 + usualBases, multiplier: usualBases },
    resolve: batchField(
      ({ id }: { readonly id: string }) => id,
      (agents, _args: object, context) =>
        readBasesOfAgents(
          context.viewer,
          context.db,
          agents.map(({ id }) => id),
        ),
    ),
  }),
);
