import type { Logger } from 'pino';
import type { Database } from '../../database/client.ts';
import type { ConfigurationCache } from '../../database/configuration-cache.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { AddressGuard } from '../../outbound/guard.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import type { OperatorTools } from './tools-file.ts';

/** What it takes to keep tools and to call them. One for the process. */
export interface ToolDependencies {
  readonly db: Database;
  readonly keys: KeyRing;
  /** What is remembered of the tenants' configuration: drop a tenant after each change, before the answer. */
  readonly config: ConfigurationCache;
  /** Which addresses the tools of tenants may have. */
  readonly guard: AddressGuard;
  readonly logger: Logger;
  /** How often tools may be called directly. */
  readonly callLimit: RateLimit;
  /** How often tools and MCP servers may be created, changed and deleted. */
  readonly changeLimit: RateLimit;
  /** What the operator gives to every tenant. */
  readonly operator: OperatorTools;
  /** Aborts when the server closes: direct calls that are under way end. */
  readonly closing: AbortSignal;
  /** The direct calls that are under way: they are waited for before the database is closed. */
  readonly calls: Set<Promise<unknown>>;
}
