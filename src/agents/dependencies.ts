import type { Logger } from 'pino';
import type { InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { ConfigurationCache } from '../database/configuration-cache.ts';
import type { ModelPort } from '../engine/ports.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { GuardrailProviders } from '../guardrails/ask.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { TokenBudget } from '../limits/token-budget.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import type { ProviderRules } from './providers/defaults.ts';

/**
 * What refers to agents in nouns that are built on top of them, so that an agent can be deleted. The nouns above
 * implement it and boot/ connects them: agents/ does not know their tables.
 */
interface AgentReferences {
  /**
   * In the transaction that deletes the agent.
   * @throws {ConflictError} naming what cannot do without the agent
   */
  assertUnused(tx: Prisma.TransactionClient, tenantId: string, agentId: string): Promise<void>;
  /** After the agent was deleted: takes it out of what can do without it. */
  release(db: Database, tenantId: string, agentId: string): Promise<void>;
}

/** What functions over agents and their providers need. One for the process. */
export interface AgentDependencies extends ProviderRules {
  readonly db: Database;
  readonly keys: KeyRing;
  /** The cached configuration of tenants; changed through `changeConfiguration` only. */
  readonly config: ConfigurationCache;
  readonly model: ModelPort;
  /** Whom guardrails ask. */
  readonly guardrails: GuardrailProviders;
  /** How many tokens users and tenants may use in a day: checked before a model is called for somebody. */
  readonly tokenBudget: TokenBudget;
  /** How long a classifier may take to choose the agent that answers, in milliseconds. */
  readonly orchestration: { readonly timeoutMs: number };
  readonly logger: Logger;
  /** How often agents and scenarios may be created, changed, deleted and made the default. */
  readonly operationLimit: RateLimit;
  /** How often agents may be tested. */
  readonly testLimit: RateLimit;
  /** The time limit of a test, in milliseconds. */
  readonly testTimeoutMs: number;
  /** Aborts when the server closes, which ends running tests. */
  readonly closing: AbortSignal;
  /** The running tests: the server waits for them before it closes the database. */
  readonly tests: Set<Promise<unknown>>;
  /** The names of the tenant's tools: agents may have these and no others. */
  readonly toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>;
  readonly references: AgentReferences;
  /**
   * The row ids of knowledge bases that the viewer may read.
   * @param ids public ids
   * @param path of the list in the arguments, for errors
   * @throws {BadUserInputError} if an id is malformed; {@link NotFoundError}; {@link ForbiddenError}
   */
  readonly findKnowledgeBases: (viewer: Viewer, ids: readonly string[], path: InputPath) => Promise<readonly string[]>;
}
