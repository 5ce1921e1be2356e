import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { saveContact } from '../../src/contacts/save.ts';
import { saveInScope } from '../../src/drafts/write.ts';
import { shareApp } from '../support/app.ts';
import { openChat, type SocketClient } from '../support/chat.ts';

const app = shareApp();

const execute = `mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }`;

async function call(chat: SocketClient & { conversationId: string }, name: string, args: Record<string, unknown>) {
  const input = { name, arguments: args, conversationId: chat.conversationId };
  return (await chat.ask(execute, { input })).executeTool;
}

const openHere = () => openChat(app, {}, { tenant: randomUUID() });

describe('save_contact and find_contact', () => {
  test('A person is created, then updated by address, by number and in the conversation, and the conversation is linked', async () => {
    const chat = await openHere();
    const first = await call(chat, 'save_contact', {
      name: 'Ada',
      email: 'ada@example.com',
      phone: '',
      fields: { a: 1 },
    });
    expect(first).toMatchObject({ ok: true, result: { name: 'Ada', email: 'ada@example.com', phone: null } });
    const { contactId } = first.result;
    const linked = await call(chat, 'save_contact', { phone: '+49 30 12345678' });
    expect(linked.result).toMatchObject({ contactId, phone: '+493012345678' });
    const byNumber = await call(chat, 'save_contact', { phone: '+493012345678', name: 'Ada King', fields: { b: 2 } });
    expect(byNumber.result).toMatchObject({ contactId, name: 'Ada King', fields: { a: 1, b: 2 } });
    const byAddress = await call(chat, 'save_contact', { email: 'ADA@example.com', notes: 'VIP' });
    expect(byAddress.result).toMatchObject({ contactId, notes: 'VIP' });
    const other = await call(chat, 'save_contact', { name: 'Bob', email: 'bob@example.com' });
    expect(other.result.contactId).not.toBe(contactId);
    const read = `query ($id: ID!) { conversation(id: $id) { contact { id } } contacts { totalCount } }`;
    expect(await chat.ask(read, { id: chat.conversationId })).toEqual({
      conversation: { contact: { id: contactId } },
      contacts: { totalCount: 2 },
    });
    const found = await call(chat, 'find_contact', { search: '+49 (30) 12345678' });
    expect(found.result.contacts).toMatchObject([{ contactId, name: 'Ada King' }]);
    expect((await call(chat, 'find_contact', { search: 'nobody' })).result).toEqual({ contacts: [] });
  });

  test('What is wrong is an error that the model is told', async () => {
    const chat = await openHere();
    await call(chat, 'save_contact', { email: 'a@example.com' });
    await call(chat, 'save_contact', { name: 'B', phone: '+493012345678', email: 'b@example.com' });
    for (const [args, error] of [
      [{ email: 'no address' }, /email must be an e-mail address/],
      [{ phone: '12345' }, /phone must be a telephone number/],
      [{ email: 'a@example.com', phone: '+493012345678' }, /that of another contact, con_/],
    ] as const) {
      expect(await call(chat, 'save_contact', args)).toMatchObject({ ok: false, error: expect.stringMatching(error) });
    }
    const nobody = await call(await openHere(), 'save_contact', {});
    expect(nobody).toMatchObject({ ok: false, error: expect.stringMatching(/must have a name/) });
  });

  test('A call that is made again after a crash saves nothing twice, and many at the same time save one', async () => {
    const { token, ask } = await openHere();
    expect(token).toBeDefined();
    const { viewer: who } = await ask('{ viewer { userId tenantId } }');
    const viewer = { ...who, roles: [], expiresAt: Number.POSITIVE_INFINITY };
    const deps = { db: app.app.db, defaultCountry: null };
    const from = { linkedTo: null, creationKey: randomUUID() };
    const one = await saveContact(viewer, deps, { name: 'Only a name' }, from);
    expect((await saveContact(viewer, deps, { name: 'Only a name' }, from)).id).toBe(one.id);
    const many = await Promise.all(
      Array.from({ length: 8 }, () =>
        saveContact(viewer, deps, { email: 'race@example.com' }, { ...from, creationKey: randomUUID() }),
      ),
    );
    expect(new Set(many.map(({ id }) => id)).size).toBe(1);
    const draft = { key: 'k', title: null, content: 'text', expectedVersion: 0, callKey: randomUUID() };
    const scope = { conversationId: null, projectId: null };
    const saved = await saveInScope(viewer, app.app.db, scope, draft);
    await saveInScope(viewer, app.app.db, scope, { ...draft, expectedVersion: 1, callKey: randomUUID() });
    const again = await saveInScope(viewer, app.app.db, scope, draft);
    expect(again).toMatchObject({ id: saved.id, version: 2 });
  });
});

test('An agent’s drafts belong to its conversation, with versions and expected ones', async () => {
  const chat = await openHere();
  expect((await call(chat, 'get_draft', { key: 'reply' })).error).toMatch(/no draft with the key "reply"/);
  expect((await call(chat, 'save_draft', { key: 'reply', content: 'One' })).result).toMatchObject({ version: 1 });
  const stale = await call(chat, 'save_draft', { key: 'reply', content: 'Two', expectedVersion: 0 });
  expect(stale).toMatchObject({ ok: false, error: expect.stringMatching(/not to exist/) });
  await call(chat, 'save_draft', { key: 'reply', title: 'Reply', content: { text: 'Two' }, expectedVersion: 1 });
  expect((await call(chat, 'get_draft', { key: 'reply' })).result).toMatchObject({
    title: 'Reply',
    content: { text: 'Two' },
    version: 2,
  });
  expect((await call(chat, 'get_draft', {})).result).toEqual({
    drafts: [{ key: 'reply', title: 'Reply', version: 2 }],
  });
  const { drafts } = await chat.ask('query ($id: ID!) { drafts(conversationId: $id) { totalCount } }', {
    id: chat.conversationId,
  });
  expect(drafts.totalCount).toBe(1);
});
