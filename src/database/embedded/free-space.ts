import { statfs } from 'node:fs/promises';

/** With less than this, in bytes, PostgreSQL can neither start nor write its log. */
const minBytes = 8 * 1024 * 1024;

/**
 * A hint for the operator if the disk of a folder is nearly full.
 * @returns a sentence with a space before it; empty if there is room, or if the system does not tell
 */
export async function describeFullDisk(folder: string): Promise<string> {
  const stats = await statfs(folder).catch(() => null);
  if (stats === null || stats.bavail * stats.bsize >= minBytes) return '';
  return ` The disk of the data folder ${folder} is full: make room, then start again.`;
}
