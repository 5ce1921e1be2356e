import type { Variables } from './variables.ts';

/** How context snapshots are made, and how long they can be used. */
export interface ContextEnv {
  readonly ttlSeconds: number;
  /** The tools that read records, and the argument that takes the id of one. */
  readonly recordTools: readonly { readonly kind: string; readonly tool: string; readonly argument: string }[];
  /** Whether models are shown references such as `ref_1` in place of the ids of databases. */
  readonly references: boolean;
}

/** Reads what the environment says of context snapshots. */
export function readContext(read: Variables): ContextEnv {
  return {
    ttlSeconds: read.CONTEXT_TTL_SECONDS,
    recordTools: read.CONTEXT_RECORD_TOOLS,
    references: read.CONTEXT_REFERENCES === 'true',
  };
}
