import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { ToolOutcome } from '../../engine/ports.ts';

/** A tool as people and models are told of it. */
export interface ToolDescription {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Record<string, unknown>;
  readonly requiresApproval: boolean;
  readonly source: 'BUILTIN' | 'HTTP' | 'MCP';
  /** Milliseconds after which a call is given up. */
  readonly timeoutMs: number;
  /** The most characters of its answer that a model is given. */
  readonly maxResultLength: number;
  /**
   * Whether a call may be made again if its outcome was lost: calling it twice with the same arguments has the effect of one
   * call. Each attempt of the same call carries the same key (`Caller.call`).
   */
  readonly isIdempotent: boolean;
  /** Roles of which the caller must have one. Empty: anybody may. */
  readonly requiredRoles: readonly string[];
}

/** What a tool may know of who calls it. */
export interface ToolContext {
  readonly viewer: Viewer;
  readonly db: Db;
  readonly conversationId: string | null;
  readonly runId: string | null;
  /** The model's call id. Null: a person called it. */
  readonly callId: string | null;
  readonly agentName: string | null;
  readonly signal: AbortSignal;
}

/** A tool that can be called. A turn holds the tools with which it started: later edits do not reach it. */
export interface Tool extends ToolDescription {
  /**
   * Tells a tool from what it is changed to: where its calls go, and what they take. Two of one name with the same hash do
   * the same. No secret is in it.
   */
  hashDefinition(): string;
  /**
   * What is known to be wrong with a call before it is made: nobody is asked to approve one that cannot work.
   * @param args parsed but not yet checked
   * @returns an error written for the model, as `call` would answer it: a viewer who may not, arguments against the
   *   schema; null: nothing
   */
  check(args: unknown, viewer: Viewer): string | null;
  /**
   * Runs it as the viewer of the context, whose permissions it checks at each call.
   * @param args parsed but not yet checked
   * @returns the result, or an error written for the model: arguments against the schema, a viewer who may not
   * @throws what goes wrong inside; nobody is shown it
   */
  call(args: unknown, context: ToolContext): Promise<ToolOutcome>;
}

/** Why a viewer may not call a tool that needs one of some roles; null: the viewer may. */
export function refuseRoles(viewer: Viewer, requiredRoles: readonly string[]): string | null {
  if (requiredRoles.length === 0 || requiredRoles.some((role) => viewer.roles.includes(role))) return null;
  return `The user may not call this tool: it needs the role ${requiredRoles.join(' or ')}.`;
}
