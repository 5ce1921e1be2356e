import { LRUCache } from 'lru-cache';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import { type Seed, seedTenant } from './seed.ts';

const maxViewers = 20_000;
/** How long a viewer costs no statement, in milliseconds. */
const maxAgeMs = 10 * 60_000;

/**
 * Creates the rows of tenants and users when they are first seen: a token that verifies is all the registration there is.
 * A new tenant is given the seed and whatever else tenants begin with, and any tenant that never had one a development
 * agent. A viewer who was seen in the last ten minutes costs no statement.
 */
export class ProvisionedViewers {
  readonly #db: Database;
  readonly #seed: Seed;
  readonly #prepare: (tenantId: string) => Promise<unknown>;
  /** The promise of each viewer's rows. */
  readonly #rows = new LRUCache<string, Promise<void>>({ max: maxViewers, ttl: maxAgeMs });

  /** @param prepare creates what a tenant begins with beside the seed, if it never did; safe to run several times at once */
  constructor(db: Database, seed: Seed, prepare: (tenantId: string) => Promise<unknown>) {
    this.#db = db;
    this.#seed = seed;
    this.#prepare = prepare;
  }

  /** Makes sure that the rows of the viewer and of the tenant exist. Safe to run several times at once, on any instance. */
  async ensureProvisioned(viewer: Viewer): Promise<void> {
    const key = keyOf(viewer);
    const known = this.#rows.get(key);
    if (known) return known;
    const rows = this.#makeRows(viewer);
    this.#rows.set(key, rows);
    try {
      await rows;
    } catch (error) {
      this.#rows.delete(key);
      throw error;
    }
  }

  /** Checks the rows again at the next call: another process may have deleted them. */
  forget(viewer: Viewer): void {
    this.#rows.delete(keyOf(viewer));
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

/** Deleted ones are included: a deleted development agent is not created again. */
const developmentAgents = { where: { isDevelopment: true }, take: 1, select: { id: true } } as const;

function keyOf(viewer: Viewer): string {
  return JSON.stringify([viewer.tenantId, viewer.userId]);
}
