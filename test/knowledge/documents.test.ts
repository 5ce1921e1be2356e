import { describe, expect, test, vi } from 'vitest';
import { shareApp } from '../support/app.ts';
import { docxParagraph, docxType, makeDocx, makePdf } from './files.ts';
import { openBase } from './support.ts';

const app = shareApp();

describe('a document', () => {
  test('Markdown is divided along its headings, with tables and code', async () => {
    const base = await openBase(app);
    const text = [
      '# Returns',
      'You may return cups within 30 days.',
      '## Costs',
      '| country | price |\n|---|---|\n| France | 5 |',
      '```sh\nreturn --all\n```',
      '- broken cups\n- cups that you dislike',
    ].join('\n\n');
    const added = await base.add({ text, metadata: { product: 'cups' } });
    expect(added).toMatchObject({ status: 'QUEUED', progress: 0, chunkCount: 0, mediaType: 'text/markdown' });
    const ready = await base.settle(added.id);
    expect(ready).toMatchObject({
      status: 'READY',
      progress: 1,
      error: null,
      chunkCount: 2,
      size: text.length,
      metadata: { product: 'cups' },
      knowledgeBase: { id: base.baseId },
    });
    expect(await base.texts(added.id)).toEqual([
      { headings: ['Returns'], text: 'You may return cups within 30 days.' },
      {
        headings: ['Returns', 'Costs'],
        text: 'country | price\nFrance | 5\n\nreturn --all\n\n- broken cups\n- cups that you dislike',
      },
    ]);
  });

  test('HTML, PDF and DOCX are read by their content', async () => {
    const base = await openBase(app);
    const html =
      '<!doctype html><html><head><title>x</title></head><body><h1>Opening</h1><script>steal()</script><p>Open on Mondays.</p></body></html>';
    const docx = makeDocx(docxParagraph('Holidays', 'Heading1') + docxParagraph('Closed&#xD800; in&#0; August.'));
    const pdf = makePdf([['Prices', 'A cup costs five euros.', 'A plate costs nine.']]);
    const files = [await base.upload(Buffer.from(html)), await base.upload(docx), await base.upload(pdf)];
    expect(files.map(({ mediaType }) => mediaType)).toEqual(['text/html', docxType, 'application/pdf']);
    const settled = await Promise.all(files.map(({ id }) => base.settle(id)));
    expect(settled.map(({ status, error }) => [status, error])).toEqual([
      ['READY', null],
      ['READY', null],
      ['READY', null],
    ]);
    const texts = await Promise.all(files.map(({ id }) => base.texts(id)));
    expect(texts[0]).toEqual([{ headings: ['Opening'], text: 'Open on Mondays.' }]);
    expect(texts[1]).toMatchObject([{ text: expect.stringContaining('Closed\ufffd in August.') }]);
    expect(texts[2]).toEqual([{ headings: ['Prices'], text: 'A cup costs five euros. A plate costs nine.' }]);
  });

  test('What follows in a section begins with the end of the passage before it', async () => {
    const base = await openBase(app);
    const sentences = Array.from({ length: 120 }, (_, n) => `Sentence ${n} says that cup number ${n} is blue.`);
    const { id } = await base.add({ text: sentences.join(' ') });
    expect(await base.settle(id)).toMatchObject({ status: 'READY' });
    const texts = (await base.texts(id)).map(({ text }) => text);
    expect(texts.length).toBeGreaterThan(3);
    for (const sentence of sentences)
      expect(
        texts.some((text) => text.includes(sentence)),
        sentence,
      ).toBe(true);
    for (const [index, text] of texts.slice(1).entries()) {
      const [first = ''] = text.split('. ');
      expect(texts[index]).toContain(first);
    }
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(2_000);
  });

  test('Another text replaces the old one in one step, and the old one is gone', async () => {
    const base = await openBase(app);
    const { id } = await base.add({ text: 'Cups are red.' });
    await base.settle(id);
    const update =
      'mutation Update($id: ID!, $input: UpdateKnowledgeDocumentInput!) { updateKnowledgeDocument(id: $id, input: $input) { id status title } }';
    const changed = await base.ask(update, { id, input: { text: 'Cups are blue.', title: 'Colours' } });
    expect(changed.updateKnowledgeDocument).toMatchObject({ id, title: 'Colours' });
    // Until the new one is complete, the old one is found.
    expect((await base.texts(id)).map(({ text }) => text)).toEqual([expect.stringMatching(/^Cups are (red|blue)\.$/)]);
    await vi.waitFor(
      async () => expect((await base.texts(id)).map(({ text }) => text)).toEqual(['Cups are blue.']),
      20_000,
    );
    const { db } = app.app;
    const row = id.slice('doc_'.length);
    await base.settle(id);
    expect(
      await db.$queryRaw`SELECT count(*)::int AS chunks FROM knowledge_chunks WHERE document_id = ${row}::uuid`,
    ).toEqual([{ chunks: 1 }]);
    expect(await db.knowledgeSourcePart.count({ where: { documentId: row } })).toBe(1);
    // What is misspelt is looked for among the words of the text that is there.
    const kept = await db.knowledgeWord.findMany({ where: { knowledgeBaseId: base.baseId.slice('kb_'.length) } });
    expect(new Set(kept.map(({ word }) => word))).toEqual(new Set(['are', 'blue', 'cups']));
    // Metadata alone do not have it indexed again.
    const again = await base.ask(update, { id, input: { metadata: { a: 1 } } });
    expect(again.updateKnowledgeDocument.status).toBe('READY');
  });

  test('It is deleted with its source and all chunks, and its base with everything', async () => {
    const base = await openBase(app);
    const first = await base.add({ text: 'one' });
    const second = await base.add({ text: 'two' });
    await Promise.all([base.settle(first.id), base.settle(second.id)]);
    await base.ask('mutation Delete($id: ID!) { deleteKnowledgeDocument(id: $id) }', { id: first.id });
    const { db } = app.app;
    const knowledgeBaseId = base.baseId.slice('kb_'.length);
    const count = async () => [
      await db.knowledgeDocument.count({ where: { knowledgeBaseId } }),
      await db.knowledgeChunk.count({ where: { knowledgeBaseId } }),
      await db.knowledgeSourcePart.count({ where: { knowledgeBaseId } }),
    ];
    expect(await count()).toEqual([1, 1, 1]);
    expect(await db.knowledgeBase.findUnique({ where: { id: knowledgeBaseId } })).toMatchObject({
      documentCount: 1,
      chunkCount: 1,
    });
    await base.ask('mutation Delete($id: ID!) { deleteKnowledgeBase(id: $id) }', { id: base.baseId });
    // A job deletes the rows (delete-base.test.ts).
    await expect.poll(count, { timeout: 60_000 }).toEqual([0, 0, 0]);
    await expect.poll(() => db.knowledgeWord.count({ where: { knowledgeBaseId } }), { timeout: 60_000 }).toBe(0);
    expect(
      await base.fail('query Read($id: ID!) { knowledgeBase(id: $id) { id } }', { id: base.baseId }),
    ).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  test('With it go the words that no other document of the base has, while others are indexed at the same time', async () => {
    const base = await openBase(app);
    const other = await openBase(app);
    // Running and runs have one stem; the second text has only one of the words, and Äpfel in upper case.
    const first = await base.add({ text: '# Zuckerbrot\n\nMeierbergs is running, and eats Äpfel. It is about cups.' });
    const second = await base.add({ text: '# Cups\n\nEverybody runs; ÄPFEL are red.' });
    const elsewhere = await other.add({ text: 'Meierbergs again.' });
    await Promise.all([base.settle(first.id), base.settle(second.id), other.settle(elsewhere.id)]);
    const words = async (baseId: string) => {
      const rows = await app.app.db.knowledgeWord.findMany({ where: { knowledgeBaseId: baseId.slice('kb_'.length) } });
      return rows.map(({ word }) => word);
    };
    expect(await words(base.baseId)).toEqual(expect.arrayContaining(['meierbergs', 'zuckerbrot', 'running', 'runs']));
    // Those that are added meanwhile keep their words, whichever comes first.
    const texts = Array.from({ length: 6 }, (_, n) => `Zuckerbrot for guest number${n}.`);
    const remove = 'mutation Delete($id: ID!) { deleteKnowledgeDocument(id: $id) }';
    const [added] = await Promise.all([
      Promise.all(texts.map((text) => base.add({ text }))),
      base.ask(remove, { id: first.id }),
    ]);
    await Promise.all(added.map(({ id }) => base.settle(id)));
    const left = await words(base.baseId);
    expect(left).toEqual(expect.arrayContaining(['cups', 'runs', 'äpfel', 'red', 'zuckerbrot', 'number5']));
    for (const gone of ['meierbergs', 'running', 'eats']) expect(left, gone).not.toContain(gone);
    expect(await words(other.baseId)).toContain('meierbergs');
    for (const { id } of [second, ...added]) await base.ask(remove, { id });
    // Stop words say nothing.
    expect((await words(base.baseId)).filter((word) => !/^(and|are|about|for|the)$/.test(word))).toEqual([]);
  });

  test('A base is indexed again as a whole, in another language as well', async () => {
    const base = await openBase(app);
    const { id } = await base.add({ text: 'Die Häuser stehen am Hafen.' });
    await base.settle(id);
    const find = async (language: string, query: string) => {
      const rows = await app.app.db.$queryRaw<{ found: number }[]>`
        SELECT count(*)::int AS found FROM knowledge_chunks
        WHERE document_id = ${id.slice('doc_'.length)}::uuid AND tsv @@ to_tsquery(${language}::regconfig, ${query})`;
      return rows[0]?.found;
    };
    expect(await find('german', 'Haus')).toBe(0);
    const update =
      'mutation Update($id: ID!) { updateKnowledgeBase(id: $id, input: { language: "german" }) { language } }';
    expect(await base.ask(update, { id: base.baseId })).toEqual({ updateKnowledgeBase: { language: 'german' } });
    await vi.waitFor(async () => expect(await find('german', 'Haus')).toBe(1), 20_000);
    await base.settle(id);
    const reindex =
      'mutation Reindex($id: ID!) { reindexKnowledgeBase(id: $id) { documents { totalCount edges { node { id status } } } } }';
    const { reindexKnowledgeBase } = await base.ask(reindex, { id: base.baseId });
    expect(reindexKnowledgeBase.documents).toMatchObject({ totalCount: 1, edges: [{ node: { id } }] });
    expect(await base.settle(id)).toMatchObject({ status: 'READY', chunkCount: 1 });
  });
});

test('knowledgeEvents delivers each change of a document, to its end', async () => {
  const base = await openBase(app);
  const client = app.ws(base.token);
  const events = client.iterate<{ knowledgeEvents: { id: string; status: string; progress: number } }>({
    query: 'subscription Follow($id: ID!) { knowledgeEvents(knowledgeBaseId: $id) { id status progress } }',
    variables: { id: base.baseId },
  });
  const seen: { id: string; status: string; progress: number }[] = [];
  const reading = (async () => {
    for await (const { data } of events) {
      if (!data) continue;
      seen.push(data.knowledgeEvents);
      if (data.knowledgeEvents.status === 'READY') return;
    }
  })();
  // The subscription has begun when it delivers: documents are added until it does.
  const ids: string[] = [];
  await vi.waitFor(
    async () => {
      if (ids.length < 20) ids.push((await base.add({ text: `Document ${ids.length}` })).id);
      expect(seen.length).toBeGreaterThan(0);
    },
    { timeout: 200_000, interval: 300 },
  );
  await reading;
  expect(ids).toContain(seen.at(-1)?.id);
  expect(seen.at(-1)).toMatchObject({ status: 'READY', progress: 1 });
  for (const id of ids) await base.settle(id);
});
