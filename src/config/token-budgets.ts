import { z } from 'zod';

/** How many tokens may be used in one UTC day. */
export interface TokenBudgets {
  /** Of one user; null: as many as they like. */
  readonly user: number | null;
  /** Of all users of one tenant together; null: as many as they like. */
  readonly tenant: number | null;
  /** Of the tenants that have a number of their own, by tenant id; null: as many as they like. */
  readonly tenants: ReadonlyMap<string, number | null>;
}

/** What TOKEN_BUDGET_PER_TENANT_DAILY says. */
interface TenantBudgets {
  readonly others: number;
  readonly own: ReadonlyMap<string, number>;
}

const entry = /^(?:(?<tenant>[^=,]{1,255})=)?(?<tokens>\d{1,15})$/;

/**
 * Reads `1000000` or `1000000,acme=5000000,internal=0`.
 * @returns null if it has another form, names a tenant twice, or has two numbers without a tenant
 */
function readTenantBudgets(written: string): TenantBudgets | null {
  const own = new Map<string, number>();
  let others: number | null = null;
  for (const part of written.split(',')) {
    const { tenant, tokens } = entry.exec(part.trim())?.groups ?? {};
    if (tokens === undefined) return null;
    if (tenant === undefined) {
      if (others !== null) return null;
      others = Number(tokens);
    } else {
      if (own.has(tenant)) return null;
      own.set(tenant, Number(tokens));
    }
  }
  return { others: others ?? 0, own };
}

/** @param user 0 for no budget, like the numbers of tenants */
export function readTokenBudgets(user: number, { others, own }: TenantBudgets): TokenBudgets {
  const tenants = new Map([...own].map(([tenant, tokens]) => [tenant, tokens || null]));
  return { user: user || null, tenant: others || null, tenants };
}

/** Tokens of a day for each tenant, and after commas for those that have a number of their own; 0 for no budget. */
export const tenantBudgets = z
  .string()
  .transform((value, context) => {
    const read = readTenantBudgets(value);
    if (read !== null) return read;
    const message = 'must be tokens, like 1000000, or 1000000,acme=5000000 with a number for one tenant, or 0 for none';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .prefault('0');
