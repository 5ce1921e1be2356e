import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { RateLimitedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { TokenBudgets } from '../config/token-budgets.ts';
import type { Database } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { refusals } from '../telemetry/metrics.ts';

/** Whose tokens. */
type Owner = Pick<Viewer, 'tenantId' | 'userId'>;
type Reader = Pick<Database, '$queryRaw'>;

/** The budget of a user or of a tenant, and what was used of it today. */
export interface BudgetState {
  readonly scope: 'user' | 'tenant';
  readonly limit: number;
  readonly used: number;
  readonly resetAt: Date;
}

/** What was used on one day, as it was read, and what this process has used since. */
interface Known {
  readonly day: string;
  readonly readAt: number;
  readonly user: number;
  readonly tenant: number;
  since: number;
}

const dayMs = 24 * 3_600_000;
/** How long what was read holds for the later steps of turns, in milliseconds: other instances use tokens meanwhile. */
const maxAgeMs = 5_000;
/** Users whose usage is remembered. */
const maxKnown = 10_000;

const counted = z.tuple([z.object({ user: z.bigint().transform(Number), tenant: z.bigint().transform(Number) })]);

/**
 * The daily token budgets of users and tenants. The ledger's own counters decide (user_token_days, tenant_token_days), which
 * the statements that write the ledger keep: nothing is summed up. Days are those of UTC.
 */
export class TokenBudget {
  readonly #db: Reader;
  readonly #budgets: TokenBudgets;
  readonly #now: () => number;
  readonly #known = new LRUCache<string, Known>({ max: maxKnown });

  /** @param options.now the time in milliseconds; absent: the clock of this process */
  constructor(options: { readonly db: Reader; readonly budgets: TokenBudgets; readonly now?: () => number }) {
    this.#db = options.db;
    this.#budgets = options.budgets;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Checks that tokens are left. What was read in the last seconds decides without a statement.
   * @param options.db reads the counters anew, in this transaction
   * @throws {RateLimitedError} if none are left, with the time of the reset
   */
  async assertLeft(viewer: Owner, options: { readonly db?: Reader } = {}): Promise<void> {
    if (!this.#isLimited(viewer)) return;
    if (options.db === undefined) {
      const known = this.#find(viewer);
      if (known !== null && this.#now() - known.readAt < maxAgeMs) {
        this.#refuseIfUsed(viewer, known);
        return;
      }
    }
    this.#refuseIfUsed(viewer, await this.#read(viewer, options.db ?? this.#db));
  }

  /**
   * Refuses those of whom this process knows that nothing is left: that stays so until the reset. No statement.
   * @throws {RateLimitedError}
   */
  assertNotKnownUsed(viewer: Owner): void {
    const known = this.#isLimited(viewer) ? this.#find(viewer) : null;
    if (known !== null) this.#refuseIfUsed(viewer, { ...known, since: 0 });
  }

  /** A condition that holds if tokens are left, for a statement that starts a turn; it begins with AND. Empty: no budget. */
  whereLeft(viewer: Owner): Prisma.Sql {
    const { user, tenant } = this.#limitsOf(viewer);
    const { tenantId, userId } = viewer;
    const day = this.#today();
    const ofUser = Prisma.sql`AND NOT EXISTS (SELECT 1 FROM user_token_days
      WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND day = ${day}::date AND tokens >= ${user}::bigint)`;
    const ofTenant = Prisma.sql`AND coalesce((SELECT sum(tokens) FROM tenant_token_days
      WHERE tenant_id = ${tenantId} AND day = ${day}::date), 0) < ${tenant}::bigint`;
    return Prisma.sql`${user === null ? Prisma.empty : ofUser} ${tenant === null ? Prisma.empty : ofTenant}`;
  }

  /** Notes what a model call of this process has used, before the ledger holds it. */
  note(viewer: Owner, tokens: number): void {
    const known = this.#known.get(keyOf(viewer));
    if (known !== undefined) known.since += tokens;
  }

  /** The budgets of a viewer, with what was used today. One statement; none if there is no budget. */
  async readStates(viewer: Owner): Promise<readonly BudgetState[]> {
    if (!this.#isLimited(viewer)) return [];
    return this.#statesOf(viewer, await this.#read(viewer, this.#db));
  }

  #limitsOf({ tenantId }: Owner): { readonly user: number | null; readonly tenant: number | null } {
    const { user, tenant, tenants } = this.#budgets;
    const own = tenants.get(tenantId);
    return { user, tenant: own === undefined ? tenant : own };
  }

  #isLimited(viewer: Owner): boolean {
    const { user, tenant } = this.#limitsOf(viewer);
    return user !== null || tenant !== null;
  }

  #today(): string {
    return new Date(this.#now()).toISOString().slice(0, 10);
  }

  #find(viewer: Owner): Known | null {
    const known = this.#known.get(keyOf(viewer));
    return known?.day === this.#today() ? known : null;
  }

  async #read(viewer: Owner, db: Reader): Promise<Known> {
    const { tenantId, userId } = viewer;
    const [day, readAt] = [this.#today(), this.#now()];
    const rows = await db.$queryRaw`
      SELECT coalesce((SELECT tokens FROM user_token_days
          WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND day = ${day}::date), 0)::bigint AS user,
        coalesce((SELECT sum(tokens) FROM tenant_token_days
          WHERE tenant_id = ${tenantId} AND day = ${day}::date), 0)::bigint AS tenant`;
    const [{ user, tenant }] = counted.parse(rows);
    const known = { day, readAt, user, tenant, since: 0 };
    this.#known.set(keyOf(viewer), known);
    return known;
  }

  #statesOf(viewer: Owner, { day, user, tenant, since }: Known): BudgetState[] {
    const limits = this.#limitsOf(viewer);
    const resetAt = new Date(Date.parse(day) + dayMs);
    const states: BudgetState[] = [];
    if (limits.user !== null) states.push({ scope: 'user', limit: limits.user, used: user + since, resetAt });
    if (limits.tenant !== null) states.push({ scope: 'tenant', limit: limits.tenant, used: tenant + since, resetAt });
    return states;
  }

  #refuseIfUsed(viewer: Owner, known: Known): void {
    const used = this.#statesOf(viewer, known).find(({ limit, used }) => used >= limit);
    if (used === undefined) return;
    const { scope, limit, resetAt } = used;
    refusals.inc({ limit: 'tokens', scope });
    const whose = scope === 'user' ? 'Your daily token budget' : 'The daily token budget of your organisation';
    const until = resetAt.toISOString().replace('.000Z', 'Z');
    throw new RateLimitedError(
      `${whose} is used up: at most ${limit} tokens. It begins anew at ${until}.`,
      Math.max(1_000, resetAt.getTime() - this.#now()),
      resetAt,
    );
  }
}

function keyOf({ tenantId, userId }: Owner): string {
  return JSON.stringify([tenantId, userId]);
}
