import { createHash } from 'node:crypto';
import { z } from 'zod';
import { formatId } from '../../api/ids.ts';
import { findContactOf, linkContact } from '../../conversations/link-contact.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { Contact } from '../../generated/prisma/client.ts';
import { type BuiltInTool, defineTool } from '../../tools/registry/builtin.ts';
import type { ContactDependencies } from '../dependencies.ts';
import { findContacts } from '../list.ts';
import { saveContact } from '../save.ts';

const timeoutMs = 5_000;
/** Contacts that an agent is told at most, and the characters of the notes of each. */
const maxFound = 5;
const maxNotes = 1_000;

/** What the tools of contacts are made with. */
export interface ContactToolSources {
  readonly contacts: ContactDependencies;
  readonly feed: ConversationFeed;
}

/** An empty text says nothing: models send it for what they do not know. */
const known = z
  .string()
  .optional()
  .transform((value) => (value === undefined || value.trim() === '' ? undefined : value));

/** The tool by which an agent stores what it was told of a person. */
export function makeSaveContact({ contacts, feed }: ContactToolSources): BuiltInTool {
  return defineTool({
    name: 'save_contact',
    description:
      'Saves what is known of a person: name, e-mail address, telephone number, notes, custom fields. A person whose e-mail address or telephone number is known already is updated. The conversation is then with this person.',
    schema: z.strictObject({
      name: known.describe('The full name.'),
      email: known.describe('The e-mail address, e.g. ada@example.com.'),
      phone: known.describe('The telephone number with the code of its country, e.g. +49 30 12345678.'),
      notes: known.describe('Notes for colleagues. They replace the notes that there are.'),
      fields: z
        .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
        .optional()
        .describe('Custom fields, e.g. {"customerNumber": "4711"}. They are added to those that there are.'),
    }),
    timeoutMs,
    // The person is found again by the address, the number, or the call.
    isIdempotent: true,
    run: async (args, { viewer, db, conversationId, runId, callId }) => {
      const linkedTo = conversationId === null ? null : await findContactOf(viewer, db, conversationId);
      const creationKey = runId === null || callId === null ? null : hashCall(runId, callId);
      const given = Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));
      const contact = await saveContact(viewer, contacts, given, { linkedTo, creationKey });
      if (conversationId !== null && linkedTo === null) await linkContact(viewer, db, feed, conversationId, contact.id);
      return describe(contact);
    },
  });
}

/** The tool by which an agent looks a person up. */
export function makeFindContact({ contacts }: ContactToolSources): BuiltInTool {
  return defineTool({
    name: 'find_contact',
    description:
      'Finds persons by a part of their name, e-mail address or telephone number; at most five, the newest first.',
    schema: z.strictObject({
      search: z.string().trim().min(2).max(200).describe('What to look for, e.g. ada@example.com.'),
    }),
    timeoutMs,
    isIdempotent: true,
    run: async ({ search }, { viewer, db }) => {
      const { defaultCountry } = contacts;
      const found = await findContacts(viewer, db, { search, defaultCountry, max: maxFound });
      return { contacts: found.map(describe) };
    },
  });
}

function describe({ id, name, email, phone, notes, fields }: Contact) {
  return { contactId: formatId('Contact', id), name, email, phone, notes: notes?.slice(0, maxNotes) ?? null, fields };
}

/** The ids of calls are chosen by models, and may have any length. */
function hashCall(runId: string, callId: string): string {
  return createHash('sha256')
    .update(JSON.stringify([runId, callId]))
    .digest('hex');
}
