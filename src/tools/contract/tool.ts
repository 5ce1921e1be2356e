import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { ToolOutcome } from '../../engine/ports.ts';

/** A tool as people and models see it. */
export interface ToolDescription {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Record<string, unknown>;
  readonly requiresApproval: boolean;
  readonly source: 'BUILTIN' | 'HTTP' | 'MCP';
  /** Why models cannot be offered it, as a sentence for people; null: they can. A person can call it all the same. */
  readonly problem: string | null;
  /** The timeout of a call in milliseconds. */
  readonly timeoutMs: number;
  /** The most characters of its result that a model is given. */
  readonly maxResultLength: number;
  /**
   * Whether a call may be made again if its outcome was lost: calling it twice with the same arguments has the effect of one
   * call. Each attempt of the same call carries the same key (`Caller.call`).
   */
  readonly isIdempotent: boolean;
  /** Roles of which the caller must have one. Empty: anybody may. */
  readonly requiredRoles: readonly string[];
}

/** What a tool may know about its caller. */
export interface ToolContext {
  readonly viewer: Viewer;
  readonly db: Db;
  readonly conversationId: string | null;
  readonly runId: string | null;
  /** The model's call id. Null: a person called it. */
  readonly callId: string | null;
  /** How often the run was taken by a process, this one included. Null: a person called it. */
  readonly epoch: number | null;
  /** The row id of the agent that calls. Null: a person called it, or the agent does not exist any more. */
  readonly agentId: string | null;
  readonly agentName: string | null;
  readonly signal: AbortSignal;
  /**
   * Takes numbers for things that the result lists, and that the model can then name by them: no other result of the turn has
   * the same. Unset: the call belongs to no turn, and its numbers begin at 1.
   * @returns the first of `count` numbers
   */
  readonly takeNumbers?: (count: number) => number;
}

/** A tool that can be called. A turn keeps the tools that it started with: later changes do not affect it. */
export interface Tool extends ToolDescription {
  /**
   * Changes if the tool is changed: it is made of the address of its calls and of their arguments. Two tools of one name
   * with the same hash do the same. It holds no secret.
   */
  hashDefinition(): string;
  /**
   * Finds the errors of a call before it is made: nobody is asked to approve a call that cannot succeed.
   * @param args parsed but not yet checked
   * @returns the error for the model that `call` would return for the viewer's roles or the arguments; null: none
   */
  check(args: unknown, viewer: Viewer): string | null;
  /**
   * Runs the tool as the viewer of the context, whose permissions it checks at each call.
   * @param args parsed but not yet checked
   * @returns the result, or an error for the model: arguments that do not fit the schema, a viewer without the role
   * @throws unexpected errors, which are shown to nobody
   */
  call(args: unknown, context: ToolContext): Promise<ToolOutcome>;
}

/** Why a viewer may not call a tool that needs one of certain roles; null: the viewer may. */
export function refuseRoles(viewer: Viewer, requiredRoles: readonly string[]): string | null {
  if (requiredRoles.length === 0 || requiredRoles.some((role) => viewer.roles.includes(role))) return null;
  return `The user may not call this tool: it needs the role ${requiredRoles.join(' or ')}.`;
}
