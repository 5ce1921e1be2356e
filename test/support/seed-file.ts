import { join } from 'node:path';

/** The seed of the product, with its documents. Other tests have it without them. */
export const seedFile = join(import.meta.dirname, '../../prisma/seed.json');
