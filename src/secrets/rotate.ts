import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../database/client.ts';
import { type KeyRing, SecretUnreadableError } from './key-ring.ts';
import { bindingOf, openSecret } from './stored-secrets.ts';

/** How many secrets are read, encrypted and written at once. */
const batchSize = 200;
/** How long it waits for those who hold the last rows, in milliseconds. */
const pauseMs = 50;
const firstId = '00000000-0000-0000-0000-000000000000';

/** What a rotation has come to. */
export interface Rotation {
  /** How many are encrypted with the current key now that were not. */
  readonly rotated: number;
  /** How many were changed or deleted by somebody else at the same moment; who changed them encrypted them anew. */
  readonly overtaken: number;
  /**
   * The row ids of those that cannot be opened: their key is missing in the ring, another one has its name, or they were
   * tampered with.
   */
  readonly unreadable: readonly string[];
}

/**
 * Encrypts every secret that is not encrypted with the ring's current key with that one, while servers run. It can be
 * interrupted at any time, and started again: what is done is not done twice.
 *
 * Nothing is locked while it encrypts. A batch is written in one statement, which leaves each row alone that is not as it
 * was read: a secret that somebody changes at the same moment is never written over. The statement waits for nobody, so
 * it cannot stand in a deadlock with those who change several secrets: rows that somebody holds are come back for.
 *
 * In the end those are opened that have the current key, to see that it is theirs.
 *
 * @param onProgress told after each batch how many were rotated so far
 */
export async function rotateSecrets(
  db: Database,
  keys: KeyRing,
  onProgress: (rotated: number) => void = () => {},
): Promise<Rotation> {
  const unreadable = new Set<string>();
  /** Those that somebody held, and that were not met again since. */
  const held = new Set<string>();
  let rotated = 0;
  let overtaken = 0;
  // Secrets that a server with the old ring stores meanwhile may stand before the place that was reached.
  for (let found = true; found; ) {
    found = false;
    let settled = false;
    for (let after: string | undefined = firstId; after !== undefined; ) {
      const rows = await readBatch(db, { not: keys.currentKid }, after);
      const fresh = rows.filter((row) => !unreadable.has(row.id));
      const sealed = await Promise.all(
        fresh.map(async (row) => {
          try {
            return { row, next: await keys.seal(await openSecret(keys, row), bindingOf(row)) };
          } catch (error) {
            if (!(error instanceof SecretUnreadableError)) throw error;
            unreadable.add(row.id);
            return null;
          }
        }),
      );
      const changes = sealed.flatMap((entry) => entry ?? []);
      if (changes.length > 0) {
        for (const { row } of changes) held.delete(row.id);
        const written = await writeBatch(db, keys.currentKid, changes);
        for (const id of written.held) held.add(id);
        rotated += written.count;
        overtaken += changes.length - written.count - written.held.length;
        settled ||= written.held.length < changes.length;
        found = true;
        onProgress(rotated);
      }
      after = rows.at(-1)?.id;
    }
    if (found && !settled) await sleep(pauseMs);
  }
  for await (const id of findUnreadable(db, keys)) unreadable.add(id);
  // Who held those that are left changed them, or deleted them.
  return { rotated, overtaken: overtaken + held.size, unreadable: [...unreadable] };
}

/** The row ids of those that say they are encrypted with the current key, and are not. */
async function* findUnreadable(db: Database, keys: KeyRing): AsyncGenerator<string> {
  for (let after: string | undefined = firstId; after !== undefined; ) {
    const rows = await readBatch(db, keys.currentKid, after);
    for (const row of rows) {
      const problem = await openSecret(keys, row).then(
        () => null,
        (error: unknown) => error,
      );
      if (problem === null) continue;
      if (!(problem instanceof SecretUnreadableError)) throw problem;
      yield row.id;
    }
    after = rows.at(-1)?.id;
  }
}

function readBatch(db: Database, kid: string | { readonly not: string }, after: string) {
  return db.secret.findMany({
    where: { id: { gt: after }, kid },
    orderBy: { id: 'asc' },
    take: batchSize,
    select: {
      id: true,
      agentId: true,
      toolId: true,
      mcpServerId: true,
      knowledgeBaseId: true,
      webhookId: true,
      name: true,
      origin: true,
      sealed: true,
    },
  });
}

/** @returns how many rows were written, as they had been read; and the ids of those that somebody held */
async function writeBatch(
  db: Database,
  kid: string,
  changes: readonly {
    readonly row: { readonly id: string; readonly sealed: string };
    readonly next: { readonly sealed: string };
  }[],
): Promise<{ readonly count: number; readonly held: readonly string[] }> {
  const ids = changes.map(({ row }) => row.id);
  const before = changes.map(({ row }) => row.sealed);
  const after = changes.map(({ next }) => next.sealed);
  const rows = await db.$queryRaw<{ id: string; locked: boolean; written: boolean }[]>`
    WITH locked AS (
      SELECT id FROM secrets WHERE id = ANY(${ids}::uuid[]) FOR UPDATE SKIP LOCKED
    ), written AS (
      UPDATE secrets SET kid = ${kid}, sealed = change.after
      FROM locked JOIN unnest(${ids}::uuid[], ${before}::text[], ${after}::text[]) AS change (id, before, after) USING (id)
      WHERE secrets.id = locked.id AND secrets.sealed = change.before
      RETURNING secrets.id
    )
    SELECT id, id IN (SELECT id FROM locked) AS locked, id IN (SELECT id FROM written) AS written
    FROM secrets WHERE id = ANY(${ids}::uuid[])`;
  const held = rows.filter((row) => !row.locked).map((row) => row.id);
  return { count: rows.filter((row) => row.written).length, held };
}
