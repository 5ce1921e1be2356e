/**
 * The sizes of stored vectors: each one is filled up with zeros to the next of them. Indexes of the type `vector` take 2,000
 * dimensions at most; larger ones are indexed as `halfvec`, with half the precision, which changes hardly any order.
 */
export const vectorSizes = [
  { size: 256, type: 'vector' },
  { size: 512, type: 'vector' },
  { size: 1_024, type: 'vector' },
  { size: 1_536, type: 'vector' },
  { size: 3_072, type: 'halfvec' },
  { size: 4_000, type: 'halfvec' },
] as const;

/** A size, and how vectors of it are indexed. */
export type VectorSize = (typeof vectorSizes)[number];

/**
 * The size that vectors of so many dimensions are stored in.
 * @throws {RangeError} if there is none: read-vectors.ts refuses such vectors
 */
export function sizeOf(dimensions: number): VectorSize {
  const found = vectorSizes.find(({ size }) => dimensions <= size);
  if (found === undefined) throw new RangeError(`No vector of ${dimensions} dimensions can be stored.`);
  return found;
}

/** A vector as PostgreSQL reads it, filled up with zeros. */
export function writeVector(vector: readonly number[]): string {
  const { size } = sizeOf(vector.length);
  const zeros = new Array<number>(size - vector.length).fill(0);
  return `[${[...vector.map((value) => Math.fround(value)), ...zeros].join(',')}]`;
}
