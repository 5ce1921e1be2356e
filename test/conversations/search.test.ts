import { expect, test } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { indexSome } from '../../src/conversations/search/index-messages.ts';
import { rankMessages } from '../../src/conversations/search/search-messages.ts';
import { makeSnippet } from '../../src/conversations/search/snippet.ts';
import { indexText, ownerLexeme, readTerms } from '../../src/conversations/search/terms.ts';
import { Prisma } from '../../src/generated/prisma/client.ts';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat, type SocketClient } from '../support/chat.ts';
import { addProject } from '../support/projects.ts';

const app = shareApp();

const searchDocument = `query ($query: String!, $first: Int, $after: String) {
  searchMessages(query: $query, first: $first, after: $after) { pageInfo { hasNextPage endCursor hasPreviousPage }
    edges { cursor node { snippet score message { id role content position conversation { id } } } } } }`;
const add = `mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }`;

interface Hit {
  readonly snippet: string;
  readonly score: number;
  readonly message: { readonly id: string; readonly content: string; readonly position: number | null };
}
interface Answer {
  readonly searchMessages: {
    readonly edges: readonly { readonly node: Hit }[];
    readonly pageInfo: {
      readonly hasNextPage: boolean;
      readonly hasPreviousPage: boolean;
      readonly endCursor: string | null;
    };
  };
}
async function find(client: SocketClient, query: string, first = 50): Promise<readonly Hit[]> {
  const { searchMessages } = await client.ask(searchDocument, { query, first });
  return searchMessages.edges.map(({ node }: { node: Hit }) => node);
}
const contents = async (client: SocketClient, query: string) =>
  (await find(client, query)).map(({ message }) => message.content).sort();

async function say(chat: SocketClient & { conversationId: string }, ...texts: string[]) {
  for (const content of texts)
    await chat.ask(add, { input: { conversationId: chat.conversationId, role: 'USER', content } });
}
const indexAll = async () => {
  while ((await indexSome(app.app.db, 50)) > 0);
};
const wordsOf = (tenantId: string) =>
  app.app.db.$queryRaw<unknown[]>`SELECT tsv::text FROM message_words WHERE tenant_id = ${tenantId}`;

test('What was said is found at once and after it was indexed: question and answer, whatever case and accents', async () => {
  const chat = await openChat(app, {}, { tenant: 's-plain' });
  app.model.add({ text: 'Der Café-Besitzer GRÜSST aus Łódź.' });
  await chat.readToEnd('Where is the crème brûlée of order 1042?');
  for (const when of ['before', 'after']) {
    expect(await contents(chat, 'creme BRULEE'), when).toEqual(['Where is the crème brûlée of order 1042?']);
    expect(await contents(chat, 'grusst łodz cafe'), when).toEqual(['Der Café-Besitzer GRÜSST aus Łódź.']);
    // The last word may be the beginning of one; the others are whole.
    expect(await contents(chat, 'order 10'), when).toHaveLength(1);
    expect(await contents(chat, 'ord 1042'), when).toEqual([]);
    expect(await contents(chat, 'order 1043'), when).toEqual([]);
    expect(await contents(chat, "?! ' & | :* \\"), when).toEqual([]);
    await indexAll();
  }
  const [hit] = await find(chat, 'brulee');
  expect(hit?.snippet).toBe('Where is the crème \uE000brûlée\uE001 of order 1042?');
});

test('Parts of Chinese, Japanese, Korean and Thai texts are found, and nothing that only has the same characters', async () => {
  const chat = await openChat(app, {}, { tenant: 's-cjk' });
  await say(
    chat,
    '我想退款，订单号是1042。',
    '東京都の天気は晴れです',
    '東京と京都',
    '주문을 취소하고 싶어요',
    'ฉันต้องการคืนเงิน',
    'カタカナ',
  );
  expect(await contents(chat, '退款')).toEqual(['我想退款，订单号是1042。']);
  expect(await contents(chat, '单')).toEqual(['我想退款，订单号是1042。']);
  expect(await contents(chat, '。号')).toEqual(['我想退款，订单号是1042。']);
  expect(await contents(chat, '订单 1042')).toEqual(['我想退款，订单号是1042。']);
  expect(await contents(chat, '東京都')).toEqual(['東京都の天気は晴れです']);
  expect(await contents(chat, '東京')).toHaveLength(2);
  expect(await contents(chat, '취소')).toEqual(['주문을 취소하고 싶어요']);
  expect(await contents(chat, 'คืนเงิน')).toHaveLength(1);
  // Half-width, as old systems write it.
  expect(await contents(chat, 'ｶﾀｶﾅ')).toEqual(['カタカナ']);
  expect((await find(chat, '京都'))[0]?.snippet).toMatch(/\uE000京都\uE001/);
});

test('Nobody finds what is another user’s, another tenant’s, or of a project that they have left', async () => {
  const alice = await openChat(app, {}, { tenant: 's-own', sub: 'alice' });
  await say(alice, 'the secret zebra');
  for (const claims of [
    { tenant: 's-own', sub: 'bob', roles: ['admin'] },
    { tenant: 's-other', sub: 'alice' },
  ]) {
    const other = await openChat(app, {}, claims);
    expect(await contents(other, 'zebra')).toEqual([]);
    await indexAll();
    expect(await contents(other, 'zebra')).toEqual([]);
  }
  const { db } = app.app;
  await addProject(db, 'zoo', { alice: 'EDITOR', keeper: 'OWNER' }, 's-own');
  const inside = await openChat(app, { projectId: 'zoo' }, { tenant: 's-own', sub: 'alice' });
  await say(inside, 'a zebra of the zoo');
  expect(await contents(alice, 'zebra')).toHaveLength(2);
  await db.projectMember.deleteMany({ where: { tenantId: 's-own', userId: 'alice' } });
  expect(await contents(alice, 'zebra')).toEqual(['the secret zebra']);
  // A word that is written like the name of the owner in the index finds nothing.
  const lexeme = ownerLexeme({ tenantId: 's-own', userId: 'alice' });
  for (const query of [lexeme, `zebra ${lexeme}`, `x' | ${lexeme} | 'y`])
    expect(await contents(await openChat(app, {}, { tenant: 's-own', sub: 'eve' }), query)).toEqual([]);
});

test('What is blocked, redacted, changed, deleted or erased is found no longer, and leaves no words', async () => {
  const { db } = app.app;
  const tenantId = 's-gone';
  const chat = await openChat(app, {}, { tenant: tenantId, sub: 'gus' });
  await say(chat, 'mammoth one', 'mammoth two', 'mammoth three');
  await indexAll();
  const [one, two, three] = await db.message.findMany({ where: { tenantId }, orderBy: { position: 'asc' } });
  await db.message.update({ where: { id: one?.id ?? '' }, data: { status: 'BLOCKED' } });
  await db.message.update({ where: { id: two?.id ?? '' }, data: { status: 'REDACTED', content: '[REDACTED] two' } });
  expect(JSON.stringify(await wordsOf(tenantId))).toContain('three');
  expect(JSON.stringify(await wordsOf(tenantId))).not.toMatch(/one|two/);
  expect(await contents(chat, 'mammoth')).toEqual(['mammoth three']);
  expect(await contents(chat, 'two')).toEqual(['[REDACTED] two']);
  await indexAll();
  expect(await contents(chat, 'mammoth')).toEqual(['mammoth three']);
  expect(JSON.stringify(await wordsOf(tenantId))).not.toContain('one');
  await db.message.update({ where: { id: three?.id ?? '' }, data: { content: 'walrus three' } });
  expect(await contents(chat, 'mammoth')).toEqual([]);
  expect(await contents(chat, 'walrus')).toEqual(['walrus three']);
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect(await wordsOf(tenantId)).toEqual([]);
  const second = await openChat(app, {}, { tenant: tenantId, sub: 'gus' });
  await say(second, 'mammoth again');
  await indexAll();
  expect(await wordsOf(tenantId)).toHaveLength(1);
  await eraseUser(db, { tenantId, userId: 'gus' }, () => {});
  expect(await wordsOf(tenantId)).toEqual([]);
});

test('Other branches and archived conversations are found; a message that is being written is not', async () => {
  const chat = await openChat(app, {}, { tenant: 's-branch' });
  app.model.add({ text: 'A giraffe answers.' });
  await chat.readToEnd('Is a giraffe tall?');
  const { conversation } = await chat.ask(documents.conversation, { id: chat.conversationId });
  app.model.add({ text: 'Yes.' });
  await chat.readToEnd('Is a camel tall?', { editMessageId: conversation.messages.edges[0].node.id });
  await chat.ask('mutation ($id: ID!) { updateConversation(id: $id, input: { isArchived: true }) { id } }', {
    id: chat.conversationId,
  });
  const hits = await find(chat, 'giraffe');
  expect(hits.map(({ message }) => [message.content, message.position]).sort()).toEqual([
    ['A giraffe answers.', null],
    ['Is a giraffe tall?', null],
  ]);
  await app.app.db.message.updateMany({ where: { tenantId: 's-branch' }, data: { status: 'STREAMING' } });
  expect(await find(chat, 'giraffe')).toEqual([]);
  await indexAll();
  expect(await find(chat, 'giraffe')).toEqual([]);
});

test('The best hits come first, and pages of them have no gap and no repeat', async () => {
  const chat = await openChat(app, {}, { tenant: 's-pages' });
  await say(
    chat,
    ...Array.from({ length: 7 }, (_, n) => `otter ${'x '.repeat(n * 20)}number${n}`),
    'otter otter otter',
  );
  const all = await find(chat, 'otter');
  expect(all).toHaveLength(8);
  expect(all[0]?.message.content).toBe('otter otter otter');
  expect(all.map(({ score }) => score)).toEqual(all.map(({ score }) => score).sort((one, other) => other - one));
  const paged: string[] = [];
  for (let after: string | null = null; ; ) {
    const page: Answer = await chat.ask(searchDocument, { query: 'otter', first: 3, after });
    const { searchMessages } = page;
    for (const { node } of searchMessages.edges) paged.push(node.message.id);
    expect(searchMessages.pageInfo.hasPreviousPage).toBe(after !== null);
    if (!searchMessages.pageInfo.hasNextPage) break;
    after = searchMessages.pageInfo.endCursor;
  }
  expect(paged).toEqual(all.map(({ message }) => message.id));
  for (const variables of [
    { query: '' },
    { query: 'x'.repeat(201) },
    { query: 'a\u0000b' },
    { query: 'x', first: 101 },
    { query: 'x', after: 'WyJ4Il0' },
  ]) {
    const { errors } = await app.query(searchDocument, variables, { token: chat.token });
    expect(errors[0]?.extensions.code, JSON.stringify(variables)).toBe('BAD_USER_INPUT');
  }
});

test('A snippet is plain text around the first hit: marks of the text itself are gone, no character is cut', () => {
  const terms = readTerms('needle');
  if (terms === null) throw new Error('There are terms.');
  expect(makeSnippet('\uE000x\uE001 <b>needle</b>\n\nneedles', terms)).toBe(
    'x <b>\uE000needle\uE001</b> \uE000needles\uE001',
  );
  const long = makeSnippet(`${'😀 before'.repeat(100)} needle ${'😀'.repeat(500)}`, terms);
  expect(long).toMatch(/^….*\uE000needle\uE001.*…$/u);
  expect(long.isWellFormed()).toBe(true);
  expect(makeSnippet('', terms)).toBe('');
  // PostgreSQL takes the words of any text: long, without spaces, with nothing but different characters.
  for (const text of [
    'x'.repeat(200_000),
    Array.from({ length: 60_000 }, (_, n) => String.fromCodePoint(0x4e00 + (n % 20_000))).join(''),
  ])
    expect(Buffer.byteLength(indexText(text, { tenantId: 't', userId: 'u' }))).toBeLessThan(2_000_000);
});

test('A text of 100,000 characters without a space is indexed and found', async () => {
  const chat = await openChat(app, {}, { tenant: 's-long' });
  const han = Array.from({ length: 100_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000))).join('');
  await say(chat, han, `${'word '.repeat(15_000)}quokka`);
  expect(await find(chat, han.slice(5, 10))).toHaveLength(1);
  expect((await find(chat, 'quokka'))[0]?.snippet).toMatch(/^…word .*\uE000quokka\uE001$/);
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Plan[];
}
const flatten = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flatten)];

test('A search reads the words of its user by their index, among those of a tenant with many messages', async () => {
  const { db } = app.app;
  const chat = await openChat(app, {}, { tenant: 's-plan', sub: 'pia' });
  const other = await openChat(app, {}, { tenant: 's-plan', sub: 'many' });
  await say(chat, 'a plan with a walrus');
  const many = ownerLexeme({ tenantId: 's-plan', userId: 'many' });
  await db.$transaction(async (tx) => {
    // Whoever owns the tables may do this; only a superuser could switch triggers off for a session.
    await tx.$executeRaw`ALTER TABLE messages DISABLE TRIGGER USER`;
    await tx.$executeRaw`
      INSERT INTO messages (id, tenant_id, conversation_id, position, number, role, content, is_indexed)
      SELECT md5(n::text)::uuid, 's-plan', ${other.conversationId.slice(5)}::uuid, n, n, 'USER', 'plan ' || n, true
      FROM generate_series(1, 5000) AS n`;
    await tx.$executeRaw`
      INSERT INTO message_words (tenant_id, message_id, user_id, tsv)
      SELECT 's-plan', md5(n::text)::uuid, 'many', (${many} || ' ''plan'':1 ''w' || n || ''':2')::tsvector
      FROM generate_series(1, 5000) AS n`;
    await tx.$executeRaw`ALTER TABLE messages ENABLE TRIGGER USER`;
  });
  for (const table of ['messages', 'message_words', 'conversations'])
    await db.$executeRawUnsafe(`VACUUM (ANALYZE) ${table}`);
  expect(await contents(chat, 'plan')).toEqual(['a plan with a walrus']);
  const viewer = (userId: string): Viewer => ({
    ...{ userId, tenantId: 's-plan', roles: [], expiresAt: Number.POSITIVE_INFINITY },
  });
  for (const [userId, query] of [
    ['pia', 'plan'],
    ['pia', 'plan walrus'],
    ['many', 'w17'],
  ] as const) {
    const terms = readTerms(query)?.query ?? '';
    const statement = rankMessages(viewer(userId), terms, { after: null, limit: 51 });
    const [explained] = await db.$queryRaw<{ 'QUERY PLAN': { Plan: Plan }[] }[]>(
      Prisma.sql`EXPLAIN (FORMAT JSON) ${statement}`,
    );
    const plan = explained?.['QUERY PLAN'][0]?.Plan;
    const nodes = plan === undefined ? [] : flatten(plan);
    expect(
      nodes.filter((node) => node['Node Type'] === 'Seq Scan' && node['Relation Name'] !== 'conversations'),
    ).toEqual([]);
    expect(nodes.map((node) => node['Index Name'])).toContain('message_words_tsv_idx');
  }
});
