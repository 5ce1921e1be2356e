import { AsyncLocalStorage } from 'node:async_hooks';

/** What a request has left of one rate limit. */
export interface Quota {
  /** Such as `turns` or, of all users of a tenant together, `turns-of-organisation`. */
  readonly name: string;
  readonly points: number;
  readonly seconds: number;
  readonly remaining: number;
  /** Milliseconds until all points are there again. */
  readonly resetMs: number;
}

const open = new AsyncLocalStorage<Map<string, Quota>>();

/** Runs the work of a request, and hands it what it and everything it awaits have left of their rate limits. */
export function collectQuotas<T>(work: (quotas: ReadonlyMap<string, Quota>) => T): T {
  const quotas = new Map<string, Quota>();
  return open.run(quotas, work, quotas);
}

/** Notes what the current request has left of a limit, if it is collected. */
export function noteQuota(quota: Quota): void {
  open.getStore()?.set(quota.name, quota);
}

/**
 * The header fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) of quotas: `q` points in `w`
 * seconds; `r` points remain, all of them are there again in `t` seconds.
 * @returns none if no limit was counted
 */
export function listQuotaHeaders(quotas: Iterable<Quota>): Record<string, string> {
  const all = [...quotas];
  if (all.length === 0) return {};
  return {
    'ratelimit-policy': all.map(({ name, points, seconds }) => `"${name}";q=${points};w=${seconds}`).join(', '),
    ratelimit: all
      .map(({ name, remaining, resetMs }) => `"${name}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`)
      .join(', '),
  };
}
