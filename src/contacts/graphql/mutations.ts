import { ExportRef } from '../../exports/graphql/types.ts';
import { builder } from '../../graphql/builder.ts';
import { mergeContacts } from '../merge.ts';
import { eraseContact } from '../personal-data/erase.ts';
import { exportContact } from '../personal-data/export.ts';
import { createContact, updateContact } from '../write.ts';
import { ContactRef } from './types.ts';

const ContactInput = builder.inputType('ContactInput', {
  description:
    'What is known of a person. In a change, omitted fields stay as they are, and null removes a value. A contact needs a name, an e-mail address or a telephone number.',
  fields: (t) => ({
    name: t.string({ description: 'The name, 1 to 200 characters. Example: `Ada Lovelace`.' }),
    email: t.string({
      description:
        'The e-mail address, at most 254 characters. No two contacts of a tenant have the same one, in upper or lower case. Example: `ada@example.com`.',
    }),
    phone: t.string({
      description:
        'The telephone number, at most 50 characters, with the code of its country, or of the country that the operator has set (CONTACT_COUNTRY). It is stored in E.164. No two contacts of a tenant have the same one. Example: `+49 30 12345678`.',
    }),
    notes: t.string({ description: 'Notes, at most 20,000 characters.' }),
    fields: t.field({
      type: 'JSON',
      description:
        'The custom fields, as a JSON object: at most 200, with names of at most 100 characters, and 20,000 characters together. A change replaces all of them. Example: `{"customerNumber": "4711"}`.',
    }),
  }),
});

builder.mutationFields((t) => ({
  createContact: t.prismaField({
    type: ContactRef,
    description:
      'Creates a contact. CONFLICT if another one of the tenant has its e-mail address or telephone number: `extensions.contactId` is its id.',
    args: { input: t.arg({ type: ContactInput, required: true, description: 'What is known of the person.' }) },
    resolve: (query, _root, args, context) => createContact(context.viewer, context.contacts, args.input, query),
  }),
  updateContact: t.prismaField({
    type: ContactRef,
    description:
      'Changes a contact. CONFLICT if another one of the tenant has the e-mail address or telephone number: `extensions.contactId` is its id.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The contact’s id, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: ContactInput, required: true, description: 'The changes.' }),
    },
    resolve: (query, _root, args, context) =>
      updateContact(context.viewer, context.contacts, args.id, args.input, query),
  }),
  mergeContacts: t.prismaField({
    type: ContactRef,
    description:
      'Merges contacts into another one, which is returned. Its own values win; what it does not have is filled with theirs, in the order of the ids; custom fields are joined. Everything that refers to them refers to it afterwards, and their ids give it. It cannot be undone.',
    args: {
      intoId: t.arg.id({
        required: true,
        description: 'The id of the contact that stays, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      fromIds: t.arg.idList({
        required: true,
        description: 'The ids of the others, 1 to 20, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d18`.',
      }),
    },
    resolve: (query, _root, args, context) => mergeContacts(context.viewer, context.db, args, query),
  }),
  eraseContact: t.id({
    description:
      'Erases a contact for good, and returns its id: its data, its exports, the texts of its tickets with their comments, and the context snapshots of the tenant, which may show it. With `withConversations`, also the conversations with it and those of its tickets, of all users, with everything in them, and the stored speech of these users. FORBIDDEN if the viewer is no admin, and some of the conversations belong to other users, or some of the tickets to projects in which the viewer may not change them.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The contact’s id, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      withConversations: t.arg.boolean({
        defaultValue: false,
        description:
          'Whether the conversations with the contact, and those of its tickets, are deleted too. If false, they stay, with what was written in them, and have no contact.',
      }),
    },
    resolve: (_root, args, context) => eraseContact(context.viewer, context, args.id, args.withConversations ?? false),
  }),
  exportContact: t.field({
    type: ExportRef,
    description:
      'Makes a file of everything that is kept of one person: the contact, its tickets with their comments, and the conversations with it and of its tickets, of all users, as JSON. FORBIDDEN if the viewer is no admin, and some of the conversations belong to other users, or some of the tickets to projects of which the viewer is no member. RATE_LIMITED if the viewer is making one already, or has 20 that have not expired.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The contact’s id, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => exportContact(context.viewer, context.exports, args.id, context.signal),
  }),
}));
