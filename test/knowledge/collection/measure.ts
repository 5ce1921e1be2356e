import { readFileSync } from 'node:fs';
import type { Viewer } from '../../../src/auth/viewer.ts';
import type { Database } from '../../../src/database/client.ts';
import { type SearchRuntime, searchScope } from '../../../src/knowledge/search/search.ts';
import { indexVectors } from '../../../src/knowledge/vectors/index-vectors.ts';
import { type SeededDocument, seedBase } from '../seed-base.ts';

/** The ways of searching that are compared. */
export const ways = ['words', 'vectors', 'hybrid'] as const;
export type Way = (typeof ways)[number];

/** A question, and the passages that answer it. */
interface Question {
  /** What is difficult in it. */
  readonly kind: string;
  readonly text: string;
  /** As `title/position`. */
  readonly wanted: readonly string[];
  /** It was not looked at while the search was tuned: every third one is. */
  readonly isHeldBack: boolean;
}

/** How well a question was answered. */
export interface Answered extends Question {
  readonly way: Way;
  /** Which part of the wanted passages is among the first five. */
  readonly recall: number;
  /** Normalised discounted cumulative gain of the first ten: a passage is wanted or not. */
  readonly gain: number;
}

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** The passages, by their documents: each `# title` begins one, each paragraph is a passage. */
function readDocuments(): SeededDocument[] {
  const documents = read('./passages.md').split(/^# /m).slice(1);
  return documents.map((document) => {
    const [title = '', ...texts] = document.split('\n').filter((line) => line.trim() !== '');
    return { title, texts };
  });
}

function readQuestions(): Question[] {
  const lines = read('./questions.tsv').trimEnd().split('\n');
  return lines.map((line, index) => {
    const [kind = '', text = '', wanted = ''] = line.split('\t');
    return { kind, text, wanted: wanted.split(','), isHeldBack: index % 3 === 2 };
  });
}

/**
 * Asks all questions of the collection in each way: of a base without vectors, of one without words, and of one with both.
 * @param db whose database has pgvector, unless words alone are compared
 */
export async function measureSearch(
  search: SearchRuntime,
  db: Database,
  compared: readonly Way[] = ways,
): Promise<Answered[]> {
  const tenantId = 'judged';
  const viewer: Viewer = { userId: 'judge', tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { signal } = new AbortController();
  const answered: Answered[] = [];
  for (const way of compared) {
    const { baseId, documentIds } = await seedBase(db, readDocuments(), { tenantId });
    if (way === 'vectors') {
      await db.$executeRaw`DELETE FROM knowledge_words WHERE knowledge_base_id = ${baseId}::uuid`;
      await db.$executeRaw`
        UPDATE knowledge_chunks SET tsv = array_to_tsvector(ARRAY[${`kb:${baseId}`}]) WHERE knowledge_base_id = ${baseId}::uuid`;
    }
    if (way !== 'words') {
      const base = { tenantId, knowledgeBaseId: baseId, generation: 1 };
      for (const documentId of documentIds) await indexVectors(search.vectors, { ...base, documentId }, { signal });
    }
    const scope = { baseIds: [baseId], project: 'any' } as const;
    for (const question of readQuestions()) {
      const hits = await searchScope(viewer, search, { query: question.text, scope, limit: 10 }, signal);
      const found = hits.map(({ title, position }) => question.wanted.includes(`${title}/${position}`));
      const ideal = question.wanted.map((_, rank) => discount(rank));
      const gained = found.map((isWanted, rank) => (isWanted ? discount(rank) : 0));
      const recall = found.slice(0, 5).filter(Boolean).length / question.wanted.length;
      answered.push({ ...question, way, recall, gain: sum(gained) / sum(ideal) });
    }
  }
  return answered;
}

const discount = (rank: number) => 1 / Math.log2(rank + 2);
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** The means of some answers. */
export function average(answers: readonly Answered[]): { readonly recall: number; readonly gain: number } {
  const mean = (numbers: readonly number[]) => sum(numbers) / numbers.length;
  return { recall: mean(answers.map(({ recall }) => recall)), gain: mean(answers.map(({ gain }) => gain)) };
}
