import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { addDocumentText, type Librarian, openBase } from './support.ts';

const app = shareApp({
  env: { KNOWLEDGE_MAX_BASE_SOURCE_MB: '1', KNOWLEDGE_MAX_SOURCE_MB: '2', RATE_LIMIT_KNOWLEDGE: '0' },
});

/** A text of so many bytes, of few words. */
const textOf = (bytes: number) => 'Cups are blue. '.repeat(Math.ceil(bytes / 15)).slice(0, bytes);
const updateText = `mutation ($id: ID!, $input: UpdateKnowledgeDocumentInput!) {
  updateKnowledgeDocument(id: $id, input: $input) { id }
}`;
const deleteText = 'mutation ($id: ID!) { deleteKnowledgeDocument(id: $id) }';

const countBytes = async (base: Librarian) => {
  const where = { id: base.baseId.slice('kb_'.length) };
  return Number((await app.app.db.knowledgeBase.findUniqueOrThrow({ where })).sourceBytes);
};
const addTo = (base: Librarian, text: string) => ({ input: { knowledgeBaseId: base.baseId, title: 'Cups', text } });

test('A base takes no text or file beyond its bytes, says which field and limit that is, and has room again after a deletion', async () => {
  const base = await openBase(app, { tenant: randomUUID() });
  const { id } = await base.add({ text: textOf(400_000) });
  await base.add({ text: textOf(500_000) });
  await base.add({ text: textOf(60_000) });
  expect(await countBytes(base)).toBe(960_000);
  const refused = {
    code: 'BAD_USER_INPUT',
    message:
      'input.text cannot be stored: the texts and files of the knowledge base may have 1000000 bytes, and would have 1160000. Delete documents first.',
  };
  expect(await base.fail(addDocumentText, addTo(base, textOf(200_000)))).toEqual([refused]);
  // What a change would add counts as well; nothing of it is written.
  expect(await base.fail(updateText, { id, input: { text: textOf(450_000) } })).toMatchObject([
    { code: 'BAD_USER_INPUT', message: expect.stringContaining('would have 1010000') },
  ]);
  expect(await countBytes(base)).toBe(960_000);
  await base.settle(id);
  await base.ask(updateText, { id, input: { text: textOf(440_000) } });
  expect(await countBytes(base)).toBe(1_000_000);
  // Another title is indexed again from the same source.
  await base.ask(updateText, { id, input: { title: 'Blue cups' } });
  expect(await countBytes(base)).toBe(1_000_000);
  await base.ask(deleteText, { id });
  expect(await countBytes(base)).toBe(560_000);
  await base.add({ text: textOf(440_000) });
});

test('A file that has no room is refused by the name of its field', async () => {
  const base = await openBase(app, { tenant: randomUUID() });
  // The upload expects that there are no errors.
  await expect(base.upload(Buffer.from(textOf(1_000_001)))).rejects.toMatchObject({
    actual: [{ message: expect.stringContaining('input.file cannot be stored') }],
  });
  expect(await countBytes(base)).toBe(0);
});

test('Of many who take the last room of a base, or of the tenant in several bases, at the same time, no more get it than there is', async () => {
  const claims = { tenant: randomUUID() };
  const bases = await Promise.all([openBase(app, claims), openBase(app, claims), openBase(app, claims)]);
  const answers = await Promise.all(
    bases.flatMap((base) =>
      Array.from({ length: 4 }, () => app.query(addDocumentText, addTo(base, textOf(400_000)), { token: base.token })),
    ),
  );
  const added = answers.filter(({ errors }) => errors.length === 0).length;
  for (const { errors } of answers)
    for (const { extensions, message } of errors) {
      expect(extensions.code).toBe('BAD_USER_INPUT');
      expect(message).toMatch(/of the knowledge base may have 1000000|of your organisation may have 2000000/);
    }
  const bytes = await Promise.all(bases.map(countBytes));
  expect(Math.max(...bytes)).toBeLessThanOrEqual(1_000_000);
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBe(added * 400_000);
  expect(added).toBe(5);
});

test('A deleted base gives the room of its sources back', async () => {
  const claims = { tenant: randomUUID() };
  const first = await openBase(app, claims);
  const second = await openBase(app, claims);
  const third = await openBase(app, claims);
  for (const base of [first, second]) for (let n = 0; n < 2; n++) await base.add({ text: textOf(500_000) });
  expect(await third.fail(addDocumentText, addTo(third, 'Cups are blue.'))).toMatchObject([
    {
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('your organisation may have 2000000 bytes, and would have 2000014'),
    },
  ]);
  await first.ask('mutation ($id: ID!) { deleteKnowledgeBase(id: $id) }', { id: first.baseId });
  await third.add({ text: 'Cups are blue.' });
});
