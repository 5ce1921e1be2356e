import type { Viewer } from '../auth/viewer.ts';

/** The user whose bytes are counted. */
export type Owner = Pick<Viewer, 'tenantId' | 'userId'>;

/** Bytes of a user, of its tenant and of the process. */
interface OwnerBytes {
  readonly user: number;
  readonly tenant: number;
  readonly process: number;
}

export const noBytes: OwnerBytes = { user: 0, tenant: 0, process: 0 };

/** Counts the bytes of users, of tenants and of the process. */
export class ByteCounts {
  readonly #users = new Map<string, number>();
  readonly #tenants = new Map<string, number>();
  #process = 0;

  /** What is counted in all. */
  get process(): number {
    return this.#process;
  }

  /** What is counted for a user, for its tenant and in all. */
  of(owner: Owner): OwnerBytes {
    const user = this.#users.get(userKey(owner)) ?? 0;
    return { user, tenant: this.#tenants.get(owner.tenantId) ?? 0, process: this.#process };
  }

  /** Adds bytes, or takes them away if `by` is negative. */
  change(owner: Owner, by: number): void {
    add(this.#users, userKey(owner), by);
    add(this.#tenants, owner.tenantId, by);
    this.#process += by;
  }
}

/** Names a user of a tenant. */
export function userKey({ tenantId, userId }: Owner): string {
  return JSON.stringify([tenantId, userId]);
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
