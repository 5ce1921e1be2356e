import { MessageRef } from '../../conversations/graphql/message-types.ts';
import type { Citation } from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { KnowledgeDocumentRef } from '../../graphql/refs.ts';
import { readCitationsOfMessages } from '../../runs/read/citations.ts';

const CitationRef = builder.objectRef<Citation>('Citation').implement({
  description: 'A passage of a document that an answer cites.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'The number by which the text cites it: 1 for `[1]`.' }),
    document: t.field({
      type: KnowledgeDocumentRef,
      nullable: true,
      description: 'The document. Null if it was deleted, or the viewer may not read it any more.',
      resolve: ({ documentId }, _args, context) => (documentId === null ? null : context.documents.load(documentId)),
    }),
    title: t.exposeString('title', { description: 'The title of the document when it was cited.' }),
    url: t.exposeString('url', {
      nullable: true,
      description: 'The address from which the document was read. Null if it has none.',
    }),
    quote: t.exposeString('quote', {
      description: 'The part of the passage that it is cited for, at most 300 characters.',
    }),
    position: t.exposeInt('position', { description: 'The number of the passage in its document, from 1.' }),
  }),
});

/** What a message counts in the cost of an operation: an answer cites a few passages. */
const usualCitations = 5;

builder.prismaObjectField(MessageRef, 'citations', (t) =>
  t.field({
    type: [CitationRef],
    description:
      'What the text of the message cites of the passages that the turn has found, by their numbers. Empty if it cites nothing.',
    complexity: { field: 1 + usualCitations, multiplier: usualCitations },
    resolve: batchField(
      ({ id }: { readonly id: string }) => id,
      (messages, _args: object, context) =>
        readCitationsOfMessages(
          context.viewer,
          context,
          messages.map(({ id }) => id),
        ),
    ),
  }),
);
