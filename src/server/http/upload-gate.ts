import { RateLimitedError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';

/**
 * Uploads are held in memory, each of them up to twice: as it came, and as the provider is sent it. So many at once of one
 * user, of all users of a tenant together, and of all: no tenant can keep the others out.
 */
const most = { user: 3, tenant: 6, all: 12 } as const;
const retryAfterMs = 1_000;

/** Bounds how many uploads are in memory at once, from their first byte to the end of their operation. */
export class UploadGate {
  readonly #users = new Map<string, number>();
  readonly #tenants = new Map<string, number>();
  #all = 0;

  /**
   * Lets an upload in while there is room.
   * @returns what lets it out again, once however often it is called
   * @throws {RateLimitedError} when there is none, saying of whom there are too many
   */
  enter({ tenantId, userId }: Viewer): () => void {
    const user = JSON.stringify([tenantId, userId]);
    if ((this.#users.get(user) ?? 0) >= most.user) throw full(`at most ${most.user} of a user.`);
    if ((this.#tenants.get(tenantId) ?? 0) >= most.tenant) throw full(`at most ${most.tenant} in your organisation.`);
    if (this.#all >= most.all) throw full(`this server takes at most ${most.all}.`);
    count(this.#users, user, 1);
    count(this.#tenants, tenantId, 1);
    this.#all += 1;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      count(this.#users, user, -1);
      count(this.#tenants, tenantId, -1);
      this.#all -= 1;
    };
  }
}

function full(limit: string): RateLimitedError {
  return new RateLimitedError(`Too many uploads at once: ${limit}`, retryAfterMs);
}

function count(inside: Map<string, number>, key: string, change: number): void {
  const now = (inside.get(key) ?? 0) + change;
  if (now > 0) inside.set(key, now);
  else inside.delete(key);
}
