import type { Variables } from './variables.ts';

/** How long things are kept, in days; null: for ever. */
export interface RetentionEnv {
  /** The events of runs, after their end. */
  readonly archives: number | null;
  /** Conversations, after their last activity. */
  readonly conversations: number | null;
  /** What guardrails have found. */
  readonly guardrailResults: number | null;
  /** The ledger of token usage. */
  readonly ledger: number | null;
}

/** Reads what is kept from the variables that were checked. */
export function readRetention(variables: Variables): RetentionEnv {
  return {
    archives: variables.RETENTION_ARCHIVE_DAYS || null,
    conversations: variables.RETENTION_CONVERSATION_DAYS || null,
    guardrailResults: variables.RETENTION_GUARDRAIL_DAYS || null,
    ledger: variables.RETENTION_LEDGER_DAYS || null,
  };
}
