import { unpackEvents } from '../../src/log/archive.ts';
import type { RunEvent } from '../../src/log/event.ts';

/** Unpacks an archive of this version: it holds every id itself. */
export function unpackArchive(runId: string, archive: string): Promise<RunEvent[]> {
  return unpackEvents(runId, archive, () => Promise.reject(new Error('The archive lacks the id of a row.')));
}
