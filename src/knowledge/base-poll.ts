import { setImmediate as nextTurn } from 'node:timers/promises';
import { isAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { KnowledgeDocument } from '../generated/prisma/client.ts';

/** Documents that one statement reads. */
const batch = 50;

/** What a look at a base has found. */
interface Look {
  /** The number of the last change of one of its documents. */
  readonly changeSeq: number;
  /** Null: the base belongs to no project, and all users of the tenant read it. */
  readonly members: ReadonlySet<string> | null;
}

/**
 * Looks at one base for all of its readers on this process: however many they are, there is one statement at a time, and those
 * that stand at the same change read the documents after it together.
 */
export class BasePoll {
  /** Of the readers, with how many each of them has. */
  readonly #viewers = new Map<string, { readonly viewer: Viewer; readers: number }>();
  readonly #db: Database;
  readonly #tenantId: string;
  readonly #baseId: string;
  #running: Promise<Look | null> | null = null;
  /** Begins when the running one has ended, and is for all who ask until then. */
  #following: Promise<Look | null> | null = null;
  /** The documents after a change, as long as there is no later change than the one with this number. */
  #pages = { changeSeq: 0, byAfter: new Map<number, Promise<readonly KnowledgeDocument[]>>() };

  constructor(db: Database, base: { readonly tenantId: string; readonly id: string }) {
    this.#db = db;
    this.#tenantId = base.tenantId;
    this.#baseId = base.id;
  }

  /** Whether it has a reader. */
  get isUsed(): boolean {
    return this.#viewers.size > 0;
  }

  /** Notes a reader. @returns forgets it */
  join(viewer: Viewer): () => void {
    const known = this.#viewers.get(viewer.userId) ?? { viewer, readers: 0 };
    known.readers += 1;
    this.#viewers.set(viewer.userId, known);
    return () => {
      known.readers -= 1;
      if (known.readers === 0) this.#viewers.delete(viewer.userId);
    };
  }

  /**
   * The next documents that have changed, as of a look that began after the call.
   * @param after the number of the last change that the reader knows
   * @returns null: the base is gone, or the viewer may not read it any more
   */
  async read(viewer: Viewer, after: number): Promise<readonly KnowledgeDocument[] | null> {
    const look = await this.#look();
    if (look === null) return null;
    const { changeSeq, members } = look;
    if (members !== null && !isAdmin(viewer) && !members.has(viewer.userId)) return null;
    return changeSeq > after ? this.#readPage(changeSeq, after) : [];
  }

  #look(): Promise<Look | null> {
    this.#following ??= this.#follow();
    return this.#following;
  }

  async #follow(): Promise<Look | null> {
    await this.#running?.catch(() => null);
    // Readers that wake at the same time look together.
    await nextTurn();
    this.#following = null;
    return this.#begin();
  }

  #begin(): Promise<Look | null> {
    const look = this.#readBase().finally(() => {
      if (this.#running === look) this.#running = null;
    });
    this.#running = look;
    return look;
  }

  async #readBase(): Promise<Look | null> {
    const users = [...this.#viewers.keys()];
    const [found] = await this.#db.$queryRaw<{ changeSeq: number; members: string[] | null }[]>`
      SELECT b.change_seq AS "changeSeq", CASE WHEN b.project_id IS NOT NULL THEN ARRAY(
          SELECT m.user_id FROM project_members AS m
          WHERE m.tenant_id = b.tenant_id AND m.project_id = b.project_id AND m.user_id = ANY(${users}::text[])
        ) END AS members
      FROM knowledge_bases AS b
      WHERE b.tenant_id = ${this.#tenantId} AND b.id = ${this.#baseId}::uuid AND b.deleted_at IS NULL`;
    return found === undefined
      ? null
      : { changeSeq: found.changeSeq, members: found.members === null ? null : new Set(found.members) };
  }

  #readPage(changeSeq: number, after: number): Promise<readonly KnowledgeDocument[]> {
    if (this.#pages.changeSeq !== changeSeq) this.#pages = { changeSeq, byAfter: new Map() };
    const { byAfter } = this.#pages;
    const known = byAfter.get(after);
    if (known !== undefined) return known;
    const page = this.#db.knowledgeDocument
      .findMany({
        where: { tenantId: this.#tenantId, knowledgeBaseId: this.#baseId, changeSeq: { gt: after } },
        orderBy: { changeSeq: 'asc' },
        take: batch,
      })
      .finally(() => byAfter.delete(after));
    byAfter.set(after, page);
    return page;
  }
}
