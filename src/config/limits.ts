import { z } from 'zod';

/** So many points in so many seconds. */
export interface Rate {
  readonly points: number;
  readonly seconds: number;
}

/** How often something may be done: by one user, and by all users of a tenant together. */
export interface Limits {
  /** Null: no limit but that of the tenant. */
  readonly user: Rate | null;
  /** Null: no limit but those of its users. */
  readonly tenant: Rate | null;
}

const ratePattern = /^(0|[1-9]\d{0,8}\/[1-9]\d{0,5})(,[1-9]\d{0,8}\/[1-9]\d{0,5})?$/;

/** `points/seconds` for each user, and after a comma for the whole tenant; 0 for no limit. */
export const rate = z
  .string()
  .regex(
    ratePattern,
    'must be points/seconds, like 20/60, or 20/60,500/60 with a limit for the tenant, or 0 for no limit',
  )
  .transform((value): Limits | null => {
    const [user, tenant] = value.split(',').map(readRate);
    return user || tenant ? { user: user ?? null, tenant: tenant ?? null } : null;
  })
  .optional();

function readRate(written: string): Rate | null {
  const [points, seconds] = written.split('/').map(Number);
  return points && seconds ? { points, seconds } : null;
}
