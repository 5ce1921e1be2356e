import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { normalizeEmail } from '../../src/contacts/email.ts';
import { normalizePhone } from '../../src/contacts/phone.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { createContact, createConversationWith, readContact, shown } from './support.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;
let stranger: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
  stranger = await graph.viewer('mallory', 'other-tenant');
});
afterAll(async () => graph[Symbol.asyncDispose]());

const create = `mutation ($input: ContactInput!) { createContact(input: $input) { ${shown} } }`;
const update = `mutation ($id: ID!, $input: ContactInput!) { updateContact(id: $id, input: $input) { ${shown} } }`;

const refuse = async (document: string, variables: Record<string, unknown>, viewer = alice) => {
  const { errors } = await graph.query(viewer, document, variables);
  return errors[0];
};

describe('a contact', () => {
  test('It is created with what is known, belongs to the tenant, and is changed by each of its users', async () => {
    const fields = { customerNumber: '4711', tags: ['new'] };
    const created = await createContact(graph, alice, {
      name: 'Ada Lovelace',
      email: ' Ada@Example.COM ',
      phone: '+49 (30) 123456-78',
      notes: 'Likes engines.',
      fields,
    });
    expect(created).toEqual({
      id: expect.stringMatching(/^con_[0-9a-f-]{36}$/),
      name: 'Ada Lovelace',
      email: 'Ada@Example.COM',
      phone: '+493012345678',
      notes: 'Likes engines.',
      fields,
    });
    const input = { name: 'Ada King', notes: null, fields: { tags: [] } };
    const { data } = await graph.query(bob, update, { id: created.id, input });
    expect(data.updateContact).toEqual({ ...created, name: 'Ada King', notes: null, fields: { tags: [] } });
    expect(await readContact(graph, alice, created.id)).toEqual(data.updateContact);
    const node = await graph.query(bob, `query ($id: ID!) { node(id: $id) { ... on Contact { name } } }`, {
      id: created.id,
    });
    expect(node.data.node.name).toBe('Ada King');
  });

  test('Another tenant can neither read, change, refer to nor merge it; an absent one is not found', async () => {
    const { id } = await createContact(graph, alice, { name: 'Ours' });
    const theirs = await createContact(graph, stranger, { name: 'Theirs' });
    const absent = `con_${randomUUID()}`;
    const conversation = (await graph.query(stranger, 'mutation { createConversation { id } }')).data
      .createConversation;
    const link = `mutation ($id: ID!, $conversation: ID!) { updateConversation(id: $conversation, input: { contactId: $id }) { id } }`;
    const merge = `mutation ($into: ID!, $from: [ID!]!) { mergeContacts(intoId: $into, fromIds: $from) { id } }`;
    for (const [target, code] of [
      [id, 'FORBIDDEN'],
      [absent, 'NOT_FOUND'],
      ['con_1', 'BAD_USER_INPUT'],
    ] as const) {
      const codes = [
        await refuse(`query ($id: ID!) { contact(id: $id) { id } }`, { id: target }, stranger),
        await refuse(`query ($id: ID!) { node(id: $id) { id } }`, { id: target }, stranger),
        await refuse(update, { id: target, input: { name: 'Stolen' } }, stranger),
        await refuse(link, { id: target, conversation: conversation.id }, stranger),
        await refuse(merge, { into: theirs.id, from: [target] }, stranger),
        await refuse(merge, { into: target, from: [theirs.id] }, stranger),
      ].map((error) => error?.code);
      expect(codes).toEqual(codes.map(() => code));
    }
    const { data } = await graph.query(stranger, '{ contacts { totalCount edges { node { name } } } }');
    expect(data.contacts).toEqual({ totalCount: 1, edges: [{ node: { name: 'Theirs' } }] });
    expect((await readContact(graph, alice, id)).name).toBe('Ours');
  });

  test('The same address or number in another spelling is a conflict that names the contact', async () => {
    const email = await createContact(graph, alice, { email: 'grace@büro.example' });
    const phone = await createContact(graph, alice, { phone: '+44 20 7946 0958' });
    const third = await createContact(graph, alice, { name: 'Third' });
    const attempts = [
      [create, { input: { email: 'GRACE@xn--bro-hoa.example' } }, email.id],
      [create, { input: { name: 'Other', phone: '+442079460958' } }, phone.id],
      [update, { id: third.id, input: { phone: '+44 (20) 79460958' } }, phone.id],
    ] as const;
    for (const [document, variables, contactId] of attempts) {
      expect(await refuse(document, variables)).toMatchObject({ code: 'CONFLICT', contactId });
    }
    // Another tenant has persons of its own.
    await createContact(graph, stranger, { email: 'grace@büro.example' });
  });

  test('Of many that are created with one address at the same time, one is there', async () => {
    const email = 'race@example.com';
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        graph.query(n % 2 === 0 ? alice : bob, create, { input: { email: n % 3 ? email : 'Race@Example.com' } }),
      ),
    );
    const created = answers.filter(({ errors }) => errors.length === 0).map(({ data }) => data.createContact.id);
    expect(created).toHaveLength(1);
    const refused = answers.flatMap(({ errors }) => errors);
    expect(refused).toHaveLength(11);
    for (const extensions of refused) expect(extensions).toMatchObject({ code: 'CONFLICT', contactId: created[0] });
    const { data } = await graph.query(alice, '{ contacts(search: "race@example") { totalCount } }');
    expect(data.contacts.totalCount).toBe(1);
  });
});

describe('bad input', () => {
  test.each([
    ['nothing at all', {}, ['input'], /must have a name/],
    ['a blank name', { name: '  ' }, ['input', 'name'], /must not be blank/],
    ['a long name', { name: 'x'.repeat(201) }, ['input', 'name'], /1 to 200 characters/],
    ['no e-mail address', { email: 'ada at example.com' }, ['input', 'email'], /must be an e-mail address/],
    ['a long e-mail address', { email: `${'a'.repeat(250)}@example.com` }, ['input', 'email'], /1 to 254/],
    ['a number of no country', { phone: '+999 123 456' }, ['input', 'phone'], /of a country/],
    ['a number that its country does not have', { phone: '+1 555 0100' }, ['input', 'phone'], /of a country/],
    ['an international freephone number', { phone: '+800 1234 5678' }, ['input', 'phone'], /of a country/],
    ['a number without a country', { phone: '030 1234567' }, ['input', 'phone'], /the code of its country/],
    ['an extension', { phone: '+1 202 555 0123 ext. 7' }, ['input', 'phone'], /extension/],
    ['long notes', { name: 'N', notes: 'x'.repeat(20_001) }, ['input', 'notes'], /0 to 20,000 characters/],
    ['a NUL', { name: 'N\u0000' }, ['input', 'name'], /U\+0000/],
    ['fields that are a list', { name: 'N', fields: ['a'] }, ['input', 'fields'], /JSON object/],
    ['a huge field', { name: 'N', fields: { a: 'x'.repeat(20_000) } }, ['input', 'fields'], /20,000 characters/],
    ['an empty field name', { name: 'N', fields: { '': 1 } }, ['input', 'fields'], /names of 1 to 100/],
    ['a long field name', { name: 'N', fields: { ['k'.repeat(101)]: 1 } }, ['input', 'fields'], /names of 1 to 100/],
    ['an unknown key', { name: 'N', id: 'con_1' }, [], /id/],
  ] as const)(
    'A contact with %s is refused by the field, and nothing is written',
    async (_what, input, path, message) => {
      const count = async () => (await graph.query(alice, '{ contacts { totalCount } }')).data.contacts.totalCount;
      const before = await count();
      const error = await refuse(create, { input });
      expect(error?.code).toBe('BAD_USER_INPUT');
      if (path.length > 0) expect(error?.path).toEqual(path);
      expect(error?.message).toMatch(message);
      expect(await count()).toBe(before);
    },
  );

  test('10,000 fields are refused by their number, also if they are few characters', async () => {
    const fields = Object.fromEntries(Array.from({ length: 201 }, (_, n) => [`f${n}`, 1]));
    expect((await refuse(create, { input: { name: 'N', fields } }))?.message).toMatch(/at most 200 fields/);
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`f${n}`, n]));
    expect((await refuse(create, { input: { name: 'N', fields: many } }))?.code).toBe('BAD_USER_INPUT');
  });

  test('A field that is named __proto__ is a field like any other', async () => {
    const fields = JSON.parse('{"__proto__":{"isAdmin":true},"constructor":"x"}');
    const { id } = await createContact(graph, alice, { name: 'Proto', fields });
    const read = (await readContact(graph, alice, id)).fields;
    expect(JSON.stringify(read)).toContain('"__proto__":{"isAdmin":true}');
    expect(read.isAdmin).toBeUndefined();
    expect(({} as Record<string, unknown>).isAdmin).toBeUndefined();
  });

  test('A change that leaves nothing by which a person is known is refused', async () => {
    const { id } = await createContact(graph, alice, { name: 'Only a name' });
    expect((await refuse(update, { id, input: { name: null } }))?.message).toMatch(/must leave a name/);
  });
});

describe('addresses and numbers', () => {
  test.each([
    ['ada@example.com', 'ada@example.com'],
    ['ADA.Lovelace+news@Example.Com', 'ada.lovelace+news@example.com'],
    ['jürgen@bücher.example', 'jürgen@xn--bcher-kva.example'],
    ['a"b@example.com', null],
    ['ada@localhost', null],
    ['ada@@example.com', null],
    ['@example.com', null],
    ['ada@', null],
    ['a b@example.com', null],
    ['.ada@example.com', null],
    ['a..b@example.com', null],
    ['ada@exa mple.com', null],
    ['ada@192.168.0.1', null],
    ['ada\u200b@example.com', null],
    [`${'a'.repeat(65)}@example.com`, null],
  ])('%s is told apart by %s', (address, key) => {
    expect(normalizeEmail(address)).toBe(key);
  });

  test('With a country of the operator, numbers may be written without one', () => {
    expect(normalizePhone('030 12345678', 'DE')).toBe('+493012345678');
    expect(normalizePhone('+44 20 7946 0958', 'DE')).toBe('+442079460958');
    expect(normalizePhone('030 12345678', null)).toBeNull();
    expect(normalizePhone('call me at 030 12345678', 'DE')).toBeNull();
  });
});

describe('lists', () => {
  test('Contacts are searched by parts of the name, address and number, and paged, the newest first', async () => {
    const viewer = await graph.viewer('searcher', 'search-tenant');
    for (const n of [1, 2, 3])
      await createContact(graph, viewer, { name: `Person 100% ${n}`, email: `P${n}@Search.example` });
    await createContact(graph, viewer, { name: 'Émile_x', phone: '+49 30 12345678' });
    const search = async (text: string) => {
      const { data, errors } = await graph.query(
        viewer,
        `query ($text: String) { contacts(search: $text) { totalCount edges { node { name } } } }`,
        { text },
      );
      expect(errors).toEqual([]);
      expect(data.contacts.totalCount).toBe(data.contacts.edges.length);
      return data.contacts.edges.map(({ node }: { node: { name: string } }) => node.name);
    };
    expect(await search('pErSoN')).toEqual(['Person 100% 3', 'Person 100% 2', 'Person 100% 1']);
    expect(await search('p2@search')).toEqual(['Person 100% 2']);
    expect(await search('0% 1')).toEqual(['Person 100% 1']);
    expect(await search('E_x')).toEqual(['Émile_x']);
    expect(await search('e%x')).toEqual([]);
    expect(await search('+49 (30) 1234-5678')).toEqual(['Émile_x']);
    const page = `query ($after: String) { contacts(first: 3, after: $after) { pageInfo { hasNextPage endCursor } edges { node { name } } } }`;
    const first = (await graph.query(viewer, page)).data.contacts;
    expect(first.edges).toHaveLength(3);
    const rest = (await graph.query(viewer, page, { after: first.pageInfo.endCursor })).data.contacts;
    expect(rest.edges).toEqual([{ node: { name: 'Person 100% 1' } }]);
    expect(rest.pageInfo.hasNextPage).toBe(false);
  });

  test('A contact lists the viewer’s own conversations with it, in a constant number of statements', async () => {
    const viewer = await graph.viewer('lister', 'list-tenant');
    const colleague = await graph.viewer('colleague', 'list-tenant');
    const list = `{ contacts(first: 20) { edges { node { name conversations(first: 2) {
      totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor node { id contact { name } } } } } } } }`;
    const add = async (name: string) => {
      const { id } = await createContact(graph, viewer, { name });
      const own = [];
      for (let n = 0; n < 3; n += 1) own.push(await createConversationWith(graph, viewer, id));
      await createConversationWith(graph, colleague, id);
      return { id, own };
    };
    const { id, own } = await add('One');
    const few = await graph.query(viewer, list);
    expect(few.data.contacts.edges[0].node.conversations).toEqual({
      totalCount: 3,
      pageInfo: { hasNextPage: true, hasPreviousPage: false },
      edges: own
        .reverse()
        .slice(0, 2)
        .map((conversation) => ({
          cursor: expect.any(String),
          node: { id: conversation, contact: { name: 'One' } },
        })),
    });
    await add('Two');
    const two = await graph.query(viewer, list);
    for (const name of ['Three', 'Four', 'Five']) await add(name);
    const many = await graph.query(viewer, list);
    expect(many.data.contacts.edges).toHaveLength(5);
    expect(many.statements).toBe(two.statements);
    expect(many.statements).toBeLessThanOrEqual(6);
    const cursor = few.data.contacts.edges[0].node.conversations.edges[1].cursor;
    const next = `query ($id: ID!, $after: String) { contact(id: $id) { conversations(first: 2, after: $after) {
      pageInfo { hasNextPage hasPreviousPage } edges { node { id } } } } }`;
    const { data } = await graph.query(viewer, next, { id, after: cursor });
    expect(data.contact.conversations).toEqual({
      pageInfo: { hasNextPage: false, hasPreviousPage: true },
      edges: [{ node: { id: own[2] } }],
    });
    expect((await refuse(list.replace('first: 2', `first: 2, after: "${cursor}"`), {}, viewer))?.code).toBe(
      'BAD_USER_INPUT',
    );
  });
});
