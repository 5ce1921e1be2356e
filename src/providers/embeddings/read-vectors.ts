import { z } from 'zod';
import { BadVectorsError } from './failures.ts';

/** The numbers that a vector has at most: pgvector indexes no more. */
export const maxDimensions = 4_000;

/** Only its form: a vector of another length, or with NaN in it, is an error of its own. */
const answer = z.object({ data: z.custom<readonly unknown[]>((data) => Array.isArray(data)) });
const item = z.object({
  index: z.int().min(0).optional(),
  embedding: z.custom<readonly unknown[]>((embedding) => Array.isArray(embedding)),
});

/**
 * Reads the answer of an embeddings endpoint.
 * @param expected.count how many texts were sent
 * @param expected.dimensions how many numbers each vector was asked to have; null: all the same number
 * @returns the vectors in the order of the texts, each of the length 1
 * @throws {BadVectorsError} if a vector is missing, is zero, or has NaN or another number of dimensions
 */
export function readVectors(
  received: unknown,
  expected: { readonly count: number; readonly dimensions: number | null },
): number[][] {
  const { data: items } = parse(answer, received);
  // Counted first: of millions of wrong ones, none is looked at.
  if (items.length !== expected.count) {
    throw new BadVectorsError('COUNT', `sent ${items.length} vectors for ${expected.count} texts.`);
  }
  const data = items.map((received) => parse(item, received));
  const ordered = new Map(data.map(({ index, embedding }, at) => [index ?? at, embedding]));
  const dimensions = expected.dimensions ?? data[0]?.embedding.length ?? 0;
  return data.map((_, at) => {
    const embedding = ordered.get(at);
    if (embedding === undefined) throw new BadVectorsError('COUNT', 'sent no vector for one of the texts.');
    if (embedding.length !== dimensions || dimensions === 0 || dimensions > maxDimensions) {
      const limit =
        dimensions > maxDimensions ? `at most ${maxDimensions.toLocaleString('en-US')}` : String(dimensions);
      throw new BadVectorsError('DIMENSIONS', `sent a vector of ${embedding.length} dimensions instead of ${limit}.`);
    }
    return normalise(embedding);
  });
}

function parse<Output>(schema: z.ZodType<Output>, received: unknown): Output {
  const parsed = schema.safeParse(received);
  if (!parsed.success) throw new BadVectorsError('UNREADABLE', 'sent an answer that holds no vectors.');
  return parsed.data;
}

/** A vector of the length 1 in the same direction: then the inner product is the cosine. */
function normalise(embedding: readonly unknown[]): number[] {
  let sum = 0;
  const numbers = embedding.map((value) => {
    // JSON has no NaN; servers write null, or a text.
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new BadVectorsError('NOT_FINITE', 'sent a vector that holds something else than finite numbers.');
    }
    sum += value * value;
    return value;
  });
  const length = Math.sqrt(sum);
  if (length === 0) throw new BadVectorsError('ZERO', 'sent a vector that is zero.');
  if (!Number.isFinite(length))
    throw new BadVectorsError('NOT_FINITE', 'sent a vector with numbers that are too large.');
  return numbers.map((value) => value / length);
}
