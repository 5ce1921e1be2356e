import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contactReferences } from '../../src/contacts/references.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { createContact, createConversationWith, readContact, shown } from './support.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
});
afterAll(async () => graph[Symbol.asyncDispose]());

const mergeDocument = `mutation ($intoId: ID!, $fromIds: [ID!]!) { mergeContacts(intoId: $intoId, fromIds: $fromIds) { ${shown} } }`;
const merge = (intoId: string, ...fromIds: string[]) => graph.query(alice, mergeDocument, { intoId, fromIds });

async function contactOf(viewer: TestViewer, conversationId: string): Promise<string> {
  const read = `query ($id: ID!) { conversation(id: $id) { contact { id } } }`;
  return (await graph.query(viewer, read, { id: conversationId })).data.conversation.contact.id;
}

describe('a merge', () => {
  test('The target’s values win, empty ones are filled in the order of the ids, and fields are joined', async () => {
    const target = await createContact(graph, alice, { name: 'Target', fields: { a: 1, empty: null } });
    const one = await createContact(graph, alice, {
      name: 'One',
      email: 'One@example.com',
      fields: JSON.parse('{"a":2,"b":2,"empty":"filled","__proto__":{"x":1}}'),
    });
    const two = await createContact(graph, alice, {
      email: 'two@example.com',
      phone: '+49 30 12345671',
      notes: 'Two’s notes',
      fields: { b: 3, c: 3 },
    });
    const { data, errors } = await merge(target.id, one.id, two.id);
    expect(errors).toEqual([]);
    const { fields, ...values } = data.mergeContacts;
    expect(values).toEqual({
      id: target.id,
      name: 'Target',
      email: 'One@example.com',
      phone: '+493012345671',
      notes: 'Two’s notes',
    });
    expect(Object.entries(fields)).toEqual(
      expect.arrayContaining([
        ['a', 1],
        ['empty', 'filled'],
        ['b', 2],
        ['c', 3],
        ['__proto__', { x: 1 }],
      ]),
    );
    // What nobody has any more is free.
    await createContact(graph, alice, { email: 'two@example.com' });
    const { errors: taken } = await graph.query(
      alice,
      `mutation ($input: ContactInput!) { createContact(input: $input) { id } }`,
      { input: { email: 'one@EXAMPLE.com' } },
    );
    expect(taken[0]).toMatchObject({ code: 'CONFLICT', contactId: target.id });
  });

  test('Every conversation moves, of every user, and the merged ids give the target through chains', async () => {
    const [a, b, c] = await Promise.all(['A', 'B', 'C'].map((name) => createContact(graph, alice, { name })));
    const ofAlice = await createConversationWith(graph, alice, a.id);
    const ofBob = await createConversationWith(graph, bob, a.id);
    expect((await merge(b.id, a.id)).errors).toEqual([]);
    expect((await merge(c.id, b.id)).errors).toEqual([]);
    for (const id of [a.id, b.id, c.id]) expect((await readContact(graph, alice, id)).id).toBe(c.id);
    expect(await contactOf(alice, ofAlice)).toBe(c.id);
    expect(await contactOf(bob, ofBob)).toBe(c.id);
    // A reference by an old id, and a change by one, reach the target.
    expect(await contactOf(alice, await createConversationWith(graph, alice, a.id))).toBe(c.id);
    const update = `mutation ($id: ID!) { updateContact(id: $id, input: { notes: "by an old id" }) { id notes } }`;
    expect((await graph.query(alice, update, { id: a.id })).data.updateContact).toEqual({
      id: c.id,
      notes: 'by an old id',
    });
    const { data } = await graph.query(alice, '{ contacts(first: 100) { edges { node { id } } } }');
    const listed = data.contacts.edges.map(({ node }: { node: { id: string } }) => node.id);
    expect(listed).toContain(c.id);
    expect(listed).not.toContain(a.id);
  });

  test('A contact is not merged into itself, and merging what is one already changes nothing', async () => {
    const [a, b] = await Promise.all(['A', 'B'].map((name) => createContact(graph, alice, { name })));
    const itself = await merge(a.id, b.id, a.id);
    expect(itself.errors[0]).toMatchObject({ code: 'BAD_USER_INPUT', path: ['fromIds', 1] });
    expect((await readContact(graph, alice, b.id)).id).toBe(b.id);
    expect((await merge(a.id, b.id, b.id)).data.mergeContacts.name).toBe('A');
    // The other way round: they are one.
    expect((await merge(b.id, a.id)).data.mergeContacts.id).toBe(a.id);
    expect((await merge(a.id, b.id)).data.mergeContacts.id).toBe(a.id);
    expect((await merge(a.id)).errors[0]?.code).toBe('BAD_USER_INPUT');
    expect((await merge(a.id, ...Array.from({ length: 21 }, () => b.id))).errors[0]?.code).toBe('BAD_USER_INPUT');
  });

  test('Merges in a circle at the same time leave one contact, which all ids give', async () => {
    const made = await Promise.all(
      Array.from({ length: 5 }, (_, n) => createContact(graph, alice, { name: `R${n}`, email: `r${n}@example.com` })),
    );
    const ids = made.map(({ id }) => id);
    const conversations = await Promise.all(ids.map((id) => createConversationWith(graph, bob, id)));
    const answers = await Promise.all(ids.map((id, n) => merge(id, ids[(n + 1) % ids.length])));
    expect(answers.flatMap(({ errors }) => errors.map(({ code }) => code))).toEqual([]);
    const roots = new Set((await Promise.all(ids.map((id) => readContact(graph, alice, id)))).map(({ id }) => id));
    expect(roots.size).toBe(1);
    const linked = await Promise.all(conversations.map((id) => contactOf(bob, id)));
    expect(new Set(linked)).toEqual(roots);
  });

  test('Conversations that get the contact while it is merged end at the target', async () => {
    const [into, from] = await Promise.all(['Into', 'From'].map((name) => createContact(graph, alice, { name })));
    const linking = Array.from({ length: 6 }, () => createConversationWith(graph, bob, from.id));
    const [answer, ...conversations] = await Promise.all([merge(into.id, from.id), ...linking]);
    expect(answer.errors).toEqual([]);
    for (const id of conversations) expect(await contactOf(bob, id)).toBe(into.id);
  });

  test('A merge that would give a contact too many fields changes nothing', async () => {
    const fieldsOf = (prefix: string) =>
      Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`${prefix}${n}`, n]));
    const a = await createContact(graph, alice, { name: 'A', fields: fieldsOf('a') });
    const b = await createContact(graph, alice, { name: 'B', fields: fieldsOf('b') });
    expect((await merge(a.id, b.id)).errors[0]?.code).toBe('CONFLICT');
    expect(await readContact(graph, alice, b.id)).toEqual(b);
  });
});

test('Every foreign key to contacts is moved by a merge, carries the tenant, and follows merges', async () => {
  const keys = await graph.db.$queryRaw<{ table: string; columns: string; action: string }[]>`
    SELECT conrelid::regclass::text AS table, confdeltype::text AS action,
      (SELECT string_agg(attname, ',' ORDER BY array_position(conkey, attnum)) FROM pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY(conkey)) AS columns
    FROM pg_constraint WHERE contype = 'f' AND confrelid = 'contacts'::regclass ORDER BY 1`;
  const others = keys.filter(({ table }) => table !== 'contacts');
  expect(others.map(({ table }) => table)).toEqual(contactReferences.map(({ table }) => table).sort());
  for (const key of others) expect(key).toMatchObject({ columns: 'tenant_id,contact_id', action: 'a' });
  const triggers = await graph.db.$queryRaw<{ table: string }[]>`
    SELECT tgrelid::regclass::text AS table FROM pg_trigger WHERE tgfoid = 'follow_merged_contact'::regproc ORDER BY 1`;
  expect(triggers.map(({ table }) => table)).toEqual(contactReferences.map(({ table }) => table).sort());
});
