import { createHash } from 'node:crypto';
import { listSecretValues } from '../contract/redact.ts';

/** Where an MCP server is: streamable HTTP, or a process of the operator's that is spoken to over its pipes. */
export type McpAddress =
  | {
      readonly kind: 'http';
      readonly url: string;
      /** All headers, secret ones too. */
      readonly headers: Readonly<Record<string, string>>;
      /** Whether a tenant wrote the address: it is then dialled through the guard. */
      readonly guarded: boolean;
    }
  | {
      readonly kind: 'stdio';
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string | null;
    };

/** An MCP server as it is kept: a tenant's row with its secrets opened, or an entry of the operator's file. */
export interface McpDefinition {
  /** The first part of its tools' names; it has no underscore. */
  readonly name: string;
  /** Whose it is. Null: the operator's, for every tenant. */
  readonly tenantId: string | null;
  readonly address: McpAddress;
  /** Which headers are secret: their values are shown to nobody. Unset: it is not known, and all may be. */
  readonly secretNames?: readonly string[];
  readonly timeoutMs: number;
  readonly maxResultLength: number;
  readonly requiresApproval: boolean;
  readonly requiredRoles: readonly string[];
}

/** The most bytes of a page of a server's list of tools. */
export const maxListBytes = 4 * 1024 * 1024;
/** So much of an answer is always taken: it may hold pictures, which are not passed on. */
const minAnswerBytes = 1024 * 1024;

/**
 * The most bytes of an answer to a call that are read. Characters have up to four bytes, and are longer as JSON in JSON;
 * what is longer than that would be cut to a small part of it.
 */
export function maxAnswerBytes({ maxResultLength }: McpDefinition): number {
  return Math.max(minAnswerBytes, 8 * maxResultLength);
}

/** What is the same for two definitions that can share a connection. It is made from secrets: it stays in memory. */
export function fingerprint(definition: McpDefinition): string {
  const { tenantId, name, address } = definition;
  return createHash('sha256')
    .update(JSON.stringify([tenantId, name, address, maxAnswerBytes(definition)]))
    .digest('hex');
}

/** What nobody may be shown of what a server is sent. */
export function listServerSecrets({ address, secretNames }: McpDefinition): string[] {
  return address.kind === 'http' ? listSecretValues({ headers: address.headers, secretNames }) : [];
}
