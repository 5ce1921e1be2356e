import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { ConversationConnection, ConversationEdge, ConversationRef } from '../../conversations/graphql/types.ts';
import { listConversationsOfContacts } from '../../conversations/of-contacts.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, loadNode, toNodes } from '../../graphql/selection.ts';
import { readContact } from '../read.ts';

/** Contacts in the graph. */
export const ContactRef = builder.prismaObject('Contact', {
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true }),
    email: t.exposeString('email', { nullable: true }),
    phone: t.exposeString('phone', { nullable: true }),
    notes: t.exposeString('notes', { nullable: true }),
    fields: t.expose('fields', {
      type: 'JSON',
      description:
        'The custom fields, as a JSON object: at most 200, with 20,000 characters together. Example: `{"customerNumber": "4711"}`.',
    }),
    conversations: t.connection(
      {
        type: ConversationRef,
        description:
          'The viewer’s own conversations with this contact, the most recently active first. Conversations belong to one user: those of others are not in the list. 50 per page by default, at most 100.',
        complexity: (args) => estimatePageCost(args, pageSizes),
        resolve: batchField(
          ({ id }: { readonly id: string }) => id,
          (contacts, args, context, info) =>
            listConversationsOfContacts(
              context.viewer,
              context.db,
              args,
              contacts.map(({ id }) => id),
              includeUnder(context, info, 'Conversation', toNodes),
            ),
        ),
      },
      ConversationConnection,
      ConversationEdge,
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the contact was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the contact was last changed.' }),
  }),
});

builder.nodeRef(ContactRef, {
  id: { resolve: (contact: typeof ContactRef.$inferType) => contact.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readContact(context.viewer, context.db, formatId('Contact', row), includeUnder(context, info, 'Contact'))),
});

builder.prismaObjectField(ConversationRef, 'contact', (t) =>
  t.relation('contact', {
    nullable: true,
    description:
      'The person with whom the conversation is. Null if it is not known. An agent’s tool `save_contact` sets it, and `updateConversation`.',
  }),
);
