import { z } from 'zod';
import type { LogPiece } from '../piece.ts';
import type { LogPosition } from '../shared-log.ts';

/*
 * The stream of a run: an entry for each piece, whose id is `<epoch>-<seq of its last event>`. Redis refuses an id that is
 * not higher than the last one, so whoever was taken a run cannot add anything once the new owner has.
 */

/** What the keys of all runs begin with. @param prefix of all keys of the deployment (REDIS_PREFIX) */
export const prefixOfRuns = (prefix: string) => `${prefixOfLog(prefix)}run:`;
/** What all keys of the log begin with. */
export const prefixOfLog = (prefix: string) => `${prefix}log:`;

/** Entries as Redis returns them: an id, and fields with their values. */
export const storedEntries = z.array(z.tuple([z.string(), z.array(z.string())]));
export const storedStreams = z.array(z.tuple([z.string(), storedEntries])).nullable();

type StoredEntry = z.output<typeof storedEntries>[number];

export function formatId({ epoch, seq }: LogPosition): string {
  return `${epoch}-${seq}`;
}

export function parseId(id: string): LogPosition {
  const [epoch, seq] = id.split('-').map(Number);
  if (epoch === undefined || seq === undefined) throw new Error(`An entry has the id ${id}.`);
  return { epoch, seq };
}

/** The id and the fields of the entry of a piece. */
export function formatEntry({ epoch, after, lastSeq, events, isEnd }: LogPiece): string[] {
  const content = events === null ? ['archived', isEnd ? '1' : '0'] : ['events', events];
  return [formatId({ epoch, seq: lastSeq }), 'after', String(after), ...content];
}

/** The entry with which an owner begins: no other one before it can add anything any more. */
export function formatOpening(epoch: number): string[] {
  return [formatId({ epoch, seq: 0 }), 'opening', '1'];
}

/** @returns null if the entry is no piece */
export function parseEntry([id, fields]: StoredEntry): LogPiece | null {
  const { epoch, seq: lastSeq } = parseId(id);
  const [name, after, kind, content] = fields;
  if (name !== 'after' || content === undefined) return null;
  const events = kind === 'events' ? content : null;
  return { epoch, after: Number(after), lastSeq, events, isEnd: kind === 'archived' && content === '1' };
}
