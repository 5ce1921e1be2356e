import type { Viewer } from '../../auth/viewer.ts';

/** Calls of one server that may be on their way at once: of one user, of one tenant, and in all. */
const most = { user: 32, tenant: 128, all: 512 } as const;

/**
 * The calls of one server that are on their way. Nobody can take the places of all others: a user has some of the
 * tenant's, and where a server is for every tenant, a tenant has some of all.
 */
export class OpenCalls {
  readonly #shared: boolean;
  readonly #counts = new Map<string, number>();

  /** @param shared whether the server is for every tenant */
  constructor(shared: boolean) {
    this.#shared = shared;
  }

  /** How many are on their way. */
  get size(): number {
    return this.#counts.get('all') ?? 0;
  }

  /**
   * Counts a call of a viewer, until `end` is called with the same viewer.
   * @returns null; or why it is not to be sent, for the model: it is not counted then
   */
  begin(viewer: Viewer): string | null {
    const { user, tenant, all } = this.#keys(viewer);
    const full = (key: string, limit: number) => (this.#counts.get(key) ?? 0) >= limit;
    if (full(user, most.user)) return busy(`${most.user} calls of this user`);
    if (this.#shared && full(tenant, most.tenant)) return busy(`${most.tenant} calls of this tenant`);
    if (full(all, most.all)) return busy(`${most.all} calls`);
    for (const key of [user, tenant, all]) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return null;
  }

  end(viewer: Viewer): void {
    for (const key of Object.values(this.#keys(viewer))) {
      const left = (this.#counts.get(key) ?? 0) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    }
  }

  #keys({ tenantId, userId }: Viewer) {
    return { user: JSON.stringify([tenantId, userId]), tenant: JSON.stringify([tenantId]), all: 'all' };
  }
}

function busy(calls: string): string {
  return `The MCP server of the tool is busy: ${calls} to it are on their way already. Call it again when some have ended.`;
}
