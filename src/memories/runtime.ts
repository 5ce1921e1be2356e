import type { Database } from '../database/client.ts';

/** What changing memories takes. One for the process. */
export interface MemoryRuntime {
  readonly db: Database;
  /** Whether the operator has switched memories on for a tenant. */
  readonly isOn: (tenantId: string) => boolean;
}
