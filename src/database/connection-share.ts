import { UnavailableError } from '../api/errors.ts';
import { connectionWaitSeconds } from '../telemetry/metrics.ts';

/** Whose work it is that takes a connection. */
export interface ConnectionOwner {
  readonly tenantId: string;
  readonly userId: string;
}

/** The work of one user that holds connections or waits for them. */
interface UserLine {
  running: number;
  readonly waiting: (() => void)[];
}

/** The work of one tenant. */
interface TenantLine {
  running: number;
  /** By user; the user who was served last is the last. */
  readonly users: Map<string, UserLine>;
}

/** How many connections may be held at the same time. */
export interface ConnectionBounds {
  readonly tenant: number;
  readonly user: number;
}

/** How long a statement waits for its turn, in milliseconds. */
const maxWaitMs = 15_000;

/**
 * Gives each tenant a share of the connections of the pool, and each user a share of the tenant's: whatever waits beyond
 * that waits here, and not in the line of the pool, in which others would wait behind it. The users of a tenant are served
 * in turn.
 */
export class ConnectionShare {
  readonly #bounds: ConnectionBounds;
  readonly #tenants = new Map<string, TenantLine>();

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds;
  }

  /** How many tenants, and users of them, have work that holds a connection or waits for one. */
  get size(): { readonly tenants: number; readonly users: number } {
    const users = [...this.#tenants.values()].reduce((sum, tenant) => sum + tenant.users.size, 0);
    return { tenants: this.#tenants.size, users };
  }

  /**
   * Waits until the work of an owner may take a connection.
   * @param owner null: work of the server itself, which never waits here
   * @returns to be called, once, when the connection was given back
   * @throws {UnavailableError} if the turn does not come within 15 seconds
   */
  async enter(owner: ConnectionOwner | null): Promise<() => void> {
    if (owner === null) return () => {};
    const { tenantId, userId } = owner;
    const tenant = this.#tenants.get(tenantId) ?? { running: 0, users: new Map() };
    this.#tenants.set(tenantId, tenant);
    const user = tenant.users.get(userId) ?? { running: 0, waiting: [] };
    tenant.users.set(userId, user);
    if (this.#isFree(tenant, user)) {
      tenant.running += 1;
      user.running += 1;
    } else {
      try {
        const since = performance.now();
        await waitInLine(user);
        connectionWaitSeconds.observe((performance.now() - since) / 1_000);
      } catch (error) {
        removeIdle(tenant, userId, user);
        throw error;
      }
    }
    return () => {
      tenant.running -= 1;
      user.running -= 1;
      this.#serveNext(tenant);
      removeIdle(tenant, userId, user);
      if (tenant.running === 0) this.#tenants.delete(tenantId);
    };
  }

  #isFree(tenant: TenantLine, user: UserLine): boolean {
    return tenant.running < this.#bounds.tenant && user.running < this.#bounds.user;
  }

  /** Gives a place that became free to whoever is next, before anybody else can take it. */
  #serveNext(tenant: TenantLine): void {
    for (const [userId, user] of tenant.users) {
      if (user.waiting.length === 0 || !this.#isFree(tenant, user)) continue;
      tenant.running += 1;
      user.running += 1;
      tenant.users.delete(userId);
      tenant.users.set(userId, user);
      user.waiting.shift()?.();
      return;
    }
  }
}

function removeIdle(tenant: TenantLine, userId: string, user: UserLine): void {
  if (user.running === 0 && user.waiting.length === 0) tenant.users.delete(userId);
}

function waitInLine({ waiting }: UserLine): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.splice(waiting.indexOf(begin), 1);
      reject(new UnavailableError('Too much of yours is being done at the moment. Try again in a moment.'));
    }, maxWaitMs);
    const begin = () => {
      clearTimeout(timer);
      resolve();
    };
    waiting.push(begin);
  });
}
