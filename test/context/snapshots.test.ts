import { describe, expect, test } from 'vitest';
import { openGraph, shareApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { addProject } from '../support/projects.ts';
import { createDocument, createSnapshot } from './support.ts';

const app = shareApp();

describe('a snapshot', () => {
  test('It holds the page, the project, what the application says, records, turns and rights, each once', async () => {
    await addProject(app.app.db, 'shop', { clerk: 'EDITOR' });
    const claims = { sub: 'clerk', roles: ['clerk'] };
    const chat = await openChat(app, { scenarioKey: 'assistant', projectId: 'shop' }, claims);
    app.model.add({ text: 'We ship on Mondays.' });
    await chat.readToEnd('When do you ship?');
    const snapshot = await createSnapshot(chat, {
      page: 'https://shop.example/orders/1042',
      projectId: 'shop',
      recordIds: ['order:1042', 'order:1042'],
      data: { selected: 'cups' },
    });
    expect(snapshot).toMatchObject({ truncated: false, redactions: 0 });
    const { block } = snapshot;
    expect(block).toContain('  Roles: clerk\n  The user may not change shared agents');
    expect(block).toContain('The page that the user sees\n  https://shop.example/orders/1042\n');
    expect(block).toContain('Project\n  The project shop\n  Key: shop\n');
    expect(block).toContain('  {"selected":"cups"}\n');
    expect(block.split('Record order:1042, as JSON\n  {"number":"1042"')).toHaveLength(2);
    expect(block).toContain('When do you ship?');
    expect(block).toContain('We ship on Mondays.');
    const seconds = (Date.parse(snapshot.expiresAt) - Date.parse(snapshot.createdAt)) / 1000;
    expect(seconds).toBe(3600);
  });

  test('It holds no turns of a project that its user has left, also not the user’s own', async () => {
    const { db } = app.app;
    const project = await addProject(db, 'left', { leaver: 'EDITOR' });
    const chat = await openChat(app, { projectId: 'left' }, { sub: 'leaver' });
    app.model.add({ text: 'The plan is green.' });
    await chat.readToEnd('What is the plan?');
    const snapshot = () => createSnapshot(chat, { page: 'here' });
    expect((await snapshot()).block).toContain('The plan is green.');
    await db.projectMember.deleteMany({ where: { projectId: project.slice('prj_'.length), userId: 'leaver' } });
    const { block } = await snapshot();
    expect(block).not.toContain('plan');
  });

  test('It names the drafts of the project or, without one, those of the viewer alone, and no contents', async () => {
    await addProject(app.app.db, 'desk', { drafter: 'EDITOR', reader: 'VIEWER' });
    const chat = await openChat(app, {}, { sub: 'drafter' });
    const save = 'mutation ($input: SaveDraftInput!) { saveDraft(input: $input) { id } }';
    for (const [key, scope] of [
      ['of-project', { projectId: 'desk' }],
      ['of-viewer', {}],
      ['of-conversation', { conversationId: chat.conversationId }],
    ] as const)
      await chat.ask(save, { input: { key, title: `Title ${key}`, content: 'The content', ...scope } });
    const reader = await openChat(app, {}, { sub: 'reader' });
    const blocks = await Promise.all([
      createSnapshot(chat, { projectId: 'desk' }),
      createSnapshot(chat, { page: 'here' }),
      createSnapshot(reader, { projectId: 'desk' }),
      createSnapshot(reader, { page: 'here' }),
    ]);
    const keysOf = ({ block }: { block: string }) => block.match(/of-(project|viewer|conversation)(?=",)/g) ?? [];
    expect(blocks.map((snapshot) => [...new Set(keysOf(snapshot))])).toEqual([
      ['of-project'],
      ['of-viewer'],
      ['of-project'],
      [],
    ]);
    expect(blocks[0].block).toContain('The project’s drafts, as JSON');
    expect(JSON.stringify(blocks)).not.toContain('The content');
  });

  test('A turn that names it gives it to its model after the instructions, between lines with a code', async () => {
    const chat = await openChat(app);
    const { id, block } = await createSnapshot(chat, { page: 'The page of Bob' });
    app.model.add({ text: 'A page.' }, { text: 'No page.' });
    const before = app.model.requests.length;
    await chat.readToEnd('What do I see?', { contextSnapshotId: id });
    await chat.readToEnd('And now?');
    const [first = '', second = ''] = app.model.requests.slice(before).map(({ instructions }) => instructions ?? '');
    const [, code] = /\nBEGIN CONTEXT ([0-9a-f]{32})\n/.exec(first) ?? [];
    const lines = block.split('\n').map((line: string) => `| ${line}`);
    expect(first).toContain([`BEGIN CONTEXT ${code}`, ...lines, `END CONTEXT ${code}`].join('\n'));
    expect(second).not.toContain('CONTEXT');
    expect(second.length).toBeGreaterThan(20);
    expect(first.startsWith(second)).toBe(true);
  });
});

test('A snapshot takes the same number of statements, however many conversations and messages there are', async () => {
  await using graph = await openGraph();
  const alice = await graph.viewer('alice');
  const count = async () => {
    const { errors, statements } = await graph.query(alice, createDocument, { input: { page: 'here' } });
    expect(errors).toEqual([]);
    return statements;
  };
  const few = await count();
  expect(few).toBe(3);
  const create = 'mutation { createConversation { id } }';
  for (let n = 0; n < 12; n++) {
    const { id: conversationId } = (await graph.query(alice, create)).data.createConversation;
    const input = { conversationId, role: 'USER', content: 'Hello' };
    const add = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
    for (let m = 0; m < 3; m++) await graph.query(alice, add, { input });
  }
  expect(await count()).toBe(few);
});

test('Nobody else can read or name a snapshot, and an id of nothing is not found', async () => {
  const [owner, other] = await Promise.all([openNewUser(app), openChat(app)]);
  const { id } = await createSnapshot(owner, { page: 'mine' });
  const read = `query ($id: ID!) { contextSnapshot(id: $id) { block } }`;
  const codeOf = async (variables: { id: string }) =>
    (await app.query(read, variables, { token: other.token })).errors[0]?.extensions.code;
  expect(await codeOf({ id })).toBe('FORBIDDEN');
  expect(await codeOf({ id: `ctx_${crypto.randomUUID()}` })).toBe('NOT_FOUND');
  expect(await codeOf({ id: 'ctx_1' })).toBe('BAD_USER_INPUT');
  expect((await owner.ask(read, { id })).contextSnapshot.block).toContain('mine');
});

test('The host of the page stays, and its path is searched; secrets in addresses are replaced', async () => {
  const user = await openNewUser(app);
  const show = async (page: string) => {
    const { block, redactions } = await createSnapshot(user, { page });
    return { shown: block.split('The page that the user sees\n  ')[1]?.split('\n')[0], redactions };
  };
  expect(await show('http://127.0.0.1:4000/dock?tab=2 – Order, seen from 203.0.113.7')).toEqual({
    shown: 'http://127.0.0.1:4000/dock?tab=2 – Order, seen from [IP_ADDRESS]',
    redactions: 1,
  });
  expect((await show('https://[2001:db8::7]:8443/a')).shown).toBe('https://[2001:db8::7]:8443/a');
  expect((await show('https://10.0.0.7/bob@example.com/203.0.113.7')).shown).toBe(
    'https://10.0.0.7[EMAIL]/[IP_ADDRESS]',
  );
  expect((await show('See http://203.0.113.7/')).shown).toBe('See http://[IP_ADDRESS]/');
  const secrets =
    'https://bob:pw@shop.example/in?access_token=abc.def&zipcode=1&code=x#id_token=ghi http://a.example/?sig=j';
  expect(await show(secrets)).toEqual({
    shown:
      'https://[SECRET]@shop.example/in?access_token=[SECRET]&zipcode=1&code=[SECRET]#id_token=[SECRET] http://a.example/?sig=[SECRET]',
    redactions: 5,
  });
  // Each of them once, whatever the case and the way in which its words are joined.
  const hidden = [
    '?oobCode=x',
    '?a=1&sessionId=x',
    '?session_id=x',
    '/in;jsessionid=x',
    '?PHPSESSID=x',
    '?token_hash=x',
    '?tokenHash=x',
    '?resetKey=x',
    '?X-Amz-Credential=x%2F20261129',
    '?AWSAccessKeyId=x',
    '?user[password]=x',
    '?user%5Bapi-key%5D=x',
    '?ACCESS_TOKEN2=x',
    '#/in?authCode=x',
    '?next=https%3A%2F%2Fb.example%2F%3Fa%3D1%26token%3Dx',
    '?next=%2Fin%253FsessionId%253Dx',
  ];
  for (const tail of hidden) {
    const [, before] = /^(.*(?:=|%3D|%253D))[^=]*$/.exec(tail) ?? [];
    const shown = `https://a.example${before}[SECRET]`;
    expect(await show(`https://a.example${tail}`)).toEqual({ shown, redactions: 1 });
  }
  // A secret of an address within an address ends where the next parameter of that one begins.
  expect((await show('https://a.example/?next=%2Fin%3Ftoken%3Dx%2526y%26tab%3D2&page=3')).shown).toBe(
    'https://a.example/?next=%2Fin%3Ftoken%3D[SECRET]%26tab%3D2&page=3',
  );
  const plain = 'https://a.example/?zipcode=1&keyword=k&author=bob&tokens=3&next=%2Fin%3Ftab%3D2&sessions=4&idea=5';
  expect(await show(plain)).toEqual({ shown: plain, redactions: 0 });
});
