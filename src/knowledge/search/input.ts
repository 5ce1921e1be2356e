import { z } from 'zod';
import { integer, json, list, text } from '../../api/input.ts';
import { projectName } from '../../projects/input.ts';

/** The text of a search. */
export const searchText = text(1, 1_000).refine((value) => /[\p{L}\p{N}]/u.test(value), 'must contain a word');

const maxMetadataCharacters = 4_000;

/** What the metadata of documents has to contain. */
const metadata = json(maxMetadataCharacters)
  .refine((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be a JSON object')
  .pipe(z.record(z.string(), z.json()));

/** The arguments of searchKnowledge. */
export const searchInput = z.strictObject({
  query: searchText,
  knowledgeBaseIds: list(z.string({ error: 'must be a string' }), 100).nullish(),
  limit: integer(1, 50).nullish(),
  projectId: projectName.nullish(),
  metadata: metadata.nullish(),
});
