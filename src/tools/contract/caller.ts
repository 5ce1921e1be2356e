import { formatId } from '../../api/ids.ts';
import type { ToolContext } from './tool.ts';

/** Who calls a tool, as the tool's system receives it. Ids are public ones. */
export interface Caller {
  readonly user: string;
  readonly tenant: string;
  readonly roles: readonly string[];
  /** Null: a person called it outside a conversation. */
  readonly conversation: string | null;
  /** Null: a person called it, not a model. */
  readonly run: string | null;
  /** The key of the call: `<run>:<call id of the model>`, the same for each attempt; a random one if a person calls. */
  readonly call: string;
  /** How often a process has taken the run. A call with a lower number comes from a process that lost it. Null: as `run`. */
  readonly epoch: number | null;
}

/** The caller in the context of a call. */
export function callerOf({ viewer, conversationId, runId, callId, epoch }: ToolContext): Caller {
  const run = runId === null ? null : formatId('Run', runId);
  return {
    user: viewer.userId,
    tenant: viewer.tenantId,
    roles: viewer.roles,
    conversation: conversationId === null ? null : formatId('Conversation', conversationId),
    run,
    call: run === null || callId === null ? crypto.randomUUID() : `${run}:${callId}`,
    epoch,
  };
}

/**
 * A text as the value of a header: visible ASCII stays, everything else is percent-encoded as UTF-8, also `%` and the
 * comma that separates roles.
 */
function encodeHeader(value: string): string {
  return value.toWellFormed().replace(/[^\x21-\x7e]|[%,]/gu, (character) => encodeURIComponent(character));
}

/** The headers that tell an HTTP tool who calls, and the key by which it can recognise a repeated call. */
export function callerHeaders(caller: Caller): Record<string, string> {
  return {
    'x-switchboard-user': encodeHeader(caller.user),
    'x-switchboard-tenant': encodeHeader(caller.tenant),
    'x-switchboard-roles': caller.roles.map(encodeHeader).join(','),
    ...(caller.conversation === null ? {} : { 'x-switchboard-conversation': caller.conversation }),
    ...(caller.run === null ? {} : { 'x-switchboard-run': caller.run }),
    ...(caller.epoch === null ? {} : { 'x-switchboard-run-epoch': String(caller.epoch) }),
    'idempotency-key': encodeHeader(caller.call).slice(0, 255),
  };
}

/** The `_meta` of a tools/call that tells an MCP server who calls, and the key of the call. */
export function callerMeta(caller: Caller): Record<string, unknown> {
  return Object.fromEntries(Object.entries(caller).map(([name, value]) => [`switchboard/${name}`, value]));
}
