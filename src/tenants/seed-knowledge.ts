import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { list, text } from '../api/input.ts';
import { isLanguage, languages } from '../knowledge/languages.ts';
import type { SeededBase } from '../knowledge/seed-bases.ts';

/** The largest document of a seed, in bytes: each tenant gets a copy. */
const maxBytes = 500_000;

const document = z.strictObject({
  title: text(1, 500),
  /** Markdown, beside the seed file or below its folder. */
  file: text(1, 1_000),
});

/** A knowledge base in a seed file. */
export const baseInFile = z.strictObject({
  name: text(1, 255),
  description: text(1, 2_000).optional(),
  language: z
    .string()
    .refine(isLanguage, `must be one of ${languages.join(', ')}`)
    .default('english'),
  documents: list(document, 100).default([]),
});

/**
 * Reads the documents of the knowledge bases of a seed file.
 * @param seedFile the path of the seed file
 * @throws {Error} naming the entry and its file
 */
export function readSeededBases(
  seedFile: string,
  bases: readonly z.output<typeof baseInFile>[],
): Promise<readonly SeededBase[]> {
  return Promise.all(
    bases.map(async ({ description = null, documents, ...base }, index) => ({
      ...base,
      description,
      documents: await Promise.all(
        documents.map(async ({ title, file }, position) => {
          const entry = `knowledgeBases.${index}.documents.${position}.file`;
          const data = await readFile(resolve(dirname(seedFile), file)).catch((cause: unknown) => {
            throw new Error(`The seed file ${seedFile} is invalid: ${entry}: ${file} cannot be read.`, { cause });
          });
          if (data.length > maxBytes)
            throw new Error(`The seed file ${seedFile} is invalid: ${entry}: ${file} has more than ${maxBytes} bytes.`);
          return { title, data };
        }),
      ),
    })),
  );
}
