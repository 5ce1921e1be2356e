import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../db.ts';
import { type Seed, seedTenant } from './seed.ts';

const mostRemembered = 20_000;
const rememberedForMs = 10 * 60_000;

/**
 * Tenants and users appear when they are first seen: a token that verifies is all the registration there is. A new
 * tenant is given the seed. Who was seen in the last ten minutes costs no statement.
 */
export class KnownViewers {
  readonly #db: Database;
  readonly #seed: Seed;
  /** By viewer, oldest first: when they were met, and the promise of their rows. */
  readonly #met = new Map<string, { readonly at: number; readonly rows: Promise<void> }>();

  constructor(db: Database, seed: Seed) {
    this.#db = db;
    this.#seed = seed;
  }

  /** Makes sure that the rows of the viewer and of the tenant exist. Any number at once, on any instance. */
  async meet(viewer: Viewer): Promise<void> {
    const key = keyOf(viewer);
    const known = this.#met.get(key);
    if (known && Date.now() - known.at < rememberedForMs) return known.rows;
    const rows = this.#makeRows(viewer);
    this.#met.delete(key);
    this.#met.set(key, { at: Date.now(), rows });
    const [oldest] = this.#met.keys();
    if (this.#met.size > mostRemembered && oldest !== undefined) this.#met.delete(oldest);
    try {
      await rows;
    } catch (error) {
      this.forget(viewer);
      throw error;
    }
  }

  /** Looks again the next time: their rows may have been deleted by somebody who does not tell. */
  forget(viewer: Viewer): void {
    this.#met.delete(keyOf(viewer));
  }

  async #makeRows({ tenantId, userId }: Viewer): Promise<void> {
    const user = await this.#db.user.findUnique({
      where: { tenantId_id: { tenantId, id: userId } },
      select: { tenant: { select: { seededWith: true } } },
    });
    if (user?.tenant.seededWith === this.#seed.checksum) return;
    await seedTenant(this.#db, tenantId, this.#seed);
    await this.#db.user.createMany({ data: [{ tenantId, id: userId }], skipDuplicates: true });
  }
}

function keyOf(viewer: Viewer): string {
  return JSON.stringify([viewer.tenantId, viewer.userId]);
}
