/** Whose work it is that takes a connection. */
export interface ConnectionOwner {
  readonly tenantId: string;
  readonly userId: string;
}

/** The work of one tenant that holds a connection or waits for one. */
interface TenantLine {
  running: number;
  /** What waits, by user: the user who was served last is the last. */
  readonly waiting: Map<string, (() => void)[]>;
}

/** How long a statement waits for its turn, in milliseconds. */
const maxWaitMs = 15_000;

/**
 * Gives each tenant a share of the connections of the pool: whatever waits beyond that waits here, and not in the line of
 * the pool, in which another tenant would wait behind it. Within a tenant, its users are served in turn.
 */
export class ConnectionShare {
  readonly #maxRunning: number;
  readonly #lines = new Map<string, TenantLine>();

  /** @param maxRunning how many connections the work of one tenant may hold at the same time */
  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  /** How many tenants have work that holds a connection or waits for one. */
  get size(): number {
    return this.#lines.size;
  }

  /**
   * Waits until the work of an owner may take a connection.
   * @param owner null: work of the server itself, which never waits here
   * @returns to be called, once, when the connection was given back
   * @throws {Error} if the turn does not come within 15 seconds
   */
  async enter(owner: ConnectionOwner | null): Promise<() => void> {
    if (owner === null) return () => {};
    const { tenantId, userId } = owner;
    const line = this.#lines.get(tenantId) ?? { running: 0, waiting: new Map() };
    this.#lines.set(tenantId, line);
    if (line.running < this.#maxRunning) line.running += 1;
    else await waitInLine(line, userId);
    return () => this.#leave(tenantId, line);
  }

  #leave(tenantId: string, line: TenantLine): void {
    const [next] = line.waiting;
    if (next === undefined) {
      line.running -= 1;
      if (line.running === 0) this.#lines.delete(tenantId);
      return;
    }
    // The place is handed over: nobody else can take it in between.
    const [userId, waiting] = next;
    const begin = waiting.shift();
    line.waiting.delete(userId);
    if (waiting.length > 0) line.waiting.set(userId, waiting);
    begin?.();
  }
}

function waitInLine({ waiting }: TenantLine, userId: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const mine = waiting.get(userId) ?? [];
      mine.splice(mine.indexOf(begin), 1);
      if (mine.length === 0) waiting.delete(userId);
      reject(new Error('No connection of the tenant’s share became free within 15 seconds.'));
    }, maxWaitMs);
    const begin = () => {
      clearTimeout(timer);
      resolve();
    };
    const mine = waiting.get(userId);
    if (mine) mine.push(begin);
    else waiting.set(userId, [begin]);
  });
}
