import type { Logger } from 'pino';
import type { InputPath } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database, Db } from '../../database/client.ts';
import type { ConfigurationCache } from '../../database/configuration-cache.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import type { BuiltInTool } from './builtin.ts';
import type { OperatorTools } from './tools-file.ts';

/** Tools by name, or all whose names begin with a prefix except some. */
export type ToolNames = { readonly name: string } | { readonly prefix: string; readonly except: ReadonlySet<string> };

/** The voice agent that calls a tool. Ids are row ids. */
export interface RealtimeCaller {
  readonly conversationId: string;
  /** The name of the agent that speaks; null: it does not exist any more. */
  readonly agentName: string | null;
  /** Null: as `agentName`. */
  readonly agentId: string | null;
  /** The names of the tools that the agents of the session have. */
  readonly toolNames: ReadonlySet<string>;
  /**
   * Checks the arguments of a call with the guardrails of the agent that speaks.
   * @returns the arguments as they may be sent; or why the call is not made, in words for the model
   */
  checkArguments(name: string, args: Record<string, unknown>, signal: AbortSignal): Promise<ToolOutcome>;
  /** As `checkArguments`, for what the tool has returned. */
  checkOutcome(outcome: ToolOutcome, signal: AbortSignal): Promise<ToolOutcome>;
}

/** What tools ask of the nouns above them, which they do not import: agents have tools, conversations call them. */
export interface ToolConsumers {
  /** The names of the first `max` agents of a tenant that have one of the tools, in alphabetical order. */
  readonly listAgentsWithTools: (db: Db, tenantId: string, tools: ToolNames, max: number) => Promise<readonly string[]>;
  /**
   * The row id of a conversation of the viewer, for a call of a tool in it.
   * @param id the public id
   * @throws {NotFoundError | ForbiddenError} when it is not one of the viewer's, or the viewer is no EDITOR in its project
   */
  readonly findConversation: (viewer: Viewer, id: string) => Promise<string>;
  /**
   * The row id of the project of a conversation of the viewer; null: it is in none.
   * @param conversationId the row id
   */
  readonly findProject: (viewer: Viewer, db: Db, conversationId: string) => Promise<string | null>;
  /**
   * Who calls a tool in a realtime session of the viewer.
   * @param id the public id
   * @param path of the id in the arguments, for errors
   * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError};
   *   {@link ConflictError} if the session has ended
   */
  readonly findRealtimeCaller: (viewer: Viewer, id: string, path: InputPath) => Promise<RealtimeCaller>;
}

/** What storing tools and calling them needs. One for the process. */
export interface ToolDependencies {
  readonly db: Database;
  readonly keys: KeyRing;
  /** The cached configuration of tenants. Change tools with changeConfiguration, which drops it. */
  readonly config: ConfigurationCache;
  /** Which addresses the tools of tenants may have. */
  readonly guard: AddressGuard;
  readonly logger: Logger;
  /** How often tools may be called directly. */
  readonly callLimit: RateLimit;
  /** How often tools and MCP servers may be created, changed and deleted. */
  readonly changeLimit: RateLimit;
  /** The tools that the operator gives to every tenant. */
  readonly operator: OperatorTools;
  /** The built-in tools of the nouns above the tools, such as knowledge and tickets. */
  readonly contributed: readonly BuiltInTool[];
  readonly consumers: ToolConsumers;
  /** Aborts when the server closes: direct calls in progress end. */
  readonly closing: AbortSignal;
  /** The direct calls in progress: the database is closed after them. */
  readonly calls: Set<Promise<unknown>>;
}
