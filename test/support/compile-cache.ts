import { join } from 'node:path';

/** Where processes keep what they have compiled, for those that follow: half of the time of a start, and there are hundreds. */
export const compileCache = join(import.meta.dirname, '../../node_modules/.cache/compiled');
