import type { Database } from '../database/client.ts';
import type { MemoryVectors } from './vectors.ts';

/** What changing and finding memories takes. One for the process. */
export interface MemoryRuntime {
  readonly db: Database;
  /** Whether the operator has switched memories on for a tenant. */
  readonly isOn: (tenantId: string) => boolean;
  /** Compares memories by their meaning; null: by their words alone. */
  readonly vectors: MemoryVectors | null;
}
