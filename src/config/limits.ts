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
