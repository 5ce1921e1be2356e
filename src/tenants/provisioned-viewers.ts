import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import { type Seed, seedTenant } from './seed.ts';

const maxRemembered = 20_000;
const rememberedForMs = 10 * 60_000;

/**
 * Tenants and users appear when they are first seen: a token that verifies is all the registration there is. A new
 * tenant is given the seed and whatever else tenants begin with, and any tenant that never had one a development agent.
 * Who was seen in the last ten minutes costs no statement.
 */
export class ProvisionedViewers {
  readonly #db: Database;
  readonly #seed: Seed;
  readonly #prepare: (tenantId: string) => Promise<unknown>;
  /** By viewer, oldest first: when they were met, and the promise of their rows. */
  readonly #met = new Map<string, { readonly at: number; readonly rows: Promise<void> }>();

  /** @param prepare makes what a tenant begins with beside the seed, where it was never made; any number at once */
  constructor(db: Database, seed: Seed, prepare: (tenantId: string) => Promise<unknown>) {
    this.#db = db;
    this.#seed = seed;
    this.#prepare = prepare;
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
    if (this.#met.size > maxRemembered && oldest !== undefined) this.#met.delete(oldest);
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
      select: { tenant: { select: { seededWith: true, agents: developmentAgents } } },
    });
    if (user?.tenant.seededWith === this.#seed.checksum && user.tenant.agents.length > 0) return;
    await seedTenant(this.#db, tenantId, this.#seed);
    await this.#prepare(tenantId);
    await this.#db.user.createMany({ data: [{ tenantId, id: userId }], skipDuplicates: true });
  }
}

/** The deleted ones as well: they are not made again. */
const developmentAgents = { where: { isDevelopment: true }, take: 1, select: { id: true } } as const;

function keyOf(viewer: Viewer): string {
  return JSON.stringify([viewer.tenantId, viewer.userId]);
}
