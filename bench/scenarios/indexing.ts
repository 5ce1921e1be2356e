import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { round } from '../round.ts';
import { median, percentile } from '../statistics.ts';
import { type Switchboard, startSwitchboard } from '../switchboard.ts';

const asked = { tokens: 5, perSecond: 50 };
const warmUps = 10;
/** A page of a book has about so many characters. */
const pageCharacters = 3_000;
const pagesOfDocument = 20;
const between = { turnsMs: 50, looksMs: 200 };

const createdBase = z.object({ createKnowledgeBase: z.object({ id: z.string() }) });
const added = z.object({ addKnowledgeDocument: z.object({ id: z.string() }) });
const documents = z.object({
  knowledgeBase: z.object({
    documents: z.object({ edges: z.array(z.object({ node: z.object({ status: z.string() }) })) }),
  }),
});

/** One turn after another, first alone and then while pages are indexed: the first token, and the pages in a second. */
export async function measureIndexing(harness: Harness): Promise<Report> {
  const pages = harness.quick ? 200 : 1_000;
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using system = await startSwitchboard(kind, harness, { probe });
    await timeTurns(harness, system, () => false, warmUps);
    const alone = await timeTurns(harness, system, () => false, harness.quick ? 20 : 100);
    const begun = performance.now();
    let seconds = 0;
    const indexed = indexPages(system, pages).then(() => {
      seconds = (performance.now() - begun) / 1_000;
    });
    const during = await timeTurns(harness, system, () => seconds === 0, 0);
    await indexed;
    const added = (median(during) / median(alone) - 1) * 100;
    rows.push([
      system.name,
      (pages / seconds).toFixed(1),
      median(alone).toFixed(2),
      median(during).toFixed(2),
      `${added.toFixed(0)} %`,
      percentile(during, 0.9).toFixed(2),
    ]);
  }
  return {
    title: `indexing: ${pages} pages, while one turn follows another`,
    columns: ['', 'pages a second', 'first token alone, median ms', 'while indexing, median ms', 'added', 'p90 ms'],
    rows,
    notes: [
      `A page is ${pageCharacters} characters of Markdown, a document ${pagesOfDocument} pages. The time of the pages includes adding them.`,
    ],
  };
}

/** Turns, each in a new conversation: at least so many, and as long as others are to come. */
async function timeTurns(harness: Harness, system: Switchboard, goOn: () => boolean, least: number): Promise<number[]> {
  const times: number[] = [];
  while (times.length < least || goOn()) {
    await harness.load.call('connect', await system.prepareSlots(1), z.int());
    times.push((await harness.load.call('run', asked, round)).firstTokenMs);
    await sleep(between.turnsMs);
  }
  return times;
}

/** Adds documents of so many pages. Resolves when all are indexed. */
async function indexPages({ ask }: Switchboard, pages: number): Promise<void> {
  const create = 'mutation { createKnowledgeBase(input: { name: "bench" }) { id } }';
  const { id } = (await ask('admin', create, {}, createdBase)).createKnowledgeBase;
  const add = 'mutation ($input: AddKnowledgeDocumentInput!) { addKnowledgeDocument(input: $input) { id } }';
  const count = pages / pagesOfDocument;
  for (let n = 0; n < count; n++) {
    const text = Array.from({ length: pagesOfDocument }, (_, page) => writePage(n * pagesOfDocument + page)).join(
      '\n\n',
    );
    await ask('admin', add, { input: { knowledgeBaseId: id, title: `Book ${n}`, text } }, added);
  }
  const list = 'query ($id: ID!) { knowledgeBase(id: $id) { documents(first: 100) { edges { node { status } } } } }';
  for (;;) {
    const { edges } = (await ask('admin', list, { id }, documents)).knowledgeBase.documents;
    const failed = edges.filter(({ node }) => node.status === 'FAILED').length;
    if (failed > 0) throw new Error(`${failed} documents could not be indexed.`);
    if (edges.every(({ node }) => node.status === 'READY')) return;
    await sleep(between.looksMs);
  }
}

function writePage(page: number): string {
  const sentences = [`# Page ${page}`];
  for (let length = 0, n = 0; length < pageCharacters; n++) {
    const sentence = `Sentence ${n} of page ${page} says that cup ${(page * 31 + n * 7) % 997} costs ${n + 3} euros.`;
    sentences.push(sentence);
    length += sentence.length + 1;
  }
  return `${sentences[0]}\n\n${sentences.slice(1).join(' ')}`;
}
