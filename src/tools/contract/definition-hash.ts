import { createHash } from 'node:crypto';
import { writeCanonically } from '../parameters/canonical-json.ts';

/** The hash of what a tool is, the same for equal definitions. Leave secrets out of it: it is stored. */
export function hashDefinition(definition: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(writeCanonically(definition)).digest('hex');
}
