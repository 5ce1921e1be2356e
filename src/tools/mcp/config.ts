import { createHash } from 'node:crypto';
import { listSecretValues } from '../contract/redact.ts';

/** How an MCP server is reached: over streamable HTTP, or as a process of the operator, through its pipes. */
export type McpAddress =
  | {
      readonly kind: 'http';
      readonly url: string;
      /** All headers, secret ones too. */
      readonly headers: Readonly<Record<string, string>>;
      /** Whether a tenant wrote the address. If so, it is called through the address guard. */
      readonly guarded: boolean;
    }
  | {
      readonly kind: 'stdio';
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string | null;
    };

/** An MCP server: a row of a tenant with its secrets decrypted, or an entry of the operator's file. */
export interface McpDefinition {
  /** The prefix of the names of its tools, without an underscore. */
  readonly name: string;
  /** The tenant that owns it. Null if it is the operator's, for every tenant. */
  readonly tenantId: string | null;
  readonly address: McpAddress;
  /** The names of the secret headers, whose values nobody may see. If unset, every header may be secret. */
  readonly secretNames?: readonly string[];
  readonly timeoutMs: number;
  readonly maxResultLength: number;
  readonly requiresApproval: boolean;
  readonly requiredRoles: readonly string[];
}

/** The maximum size in bytes of one page of a server's list of tools. */
export const maxListBytes = 4 * 1024 * 1024;
/** The size in bytes that an answer may always have: it may contain pictures, which the model does not get. */
const minAnswerBytes = 1024 * 1024;

/**
 * The maximum number of bytes that are read of an answer to a call. A character has up to four bytes, and more inside JSON
 * that contains JSON; of a longer answer, the model would get only a small part.
 */
export function maxAnswerBytes({ maxResultLength }: McpDefinition): number {
  return Math.max(minAnswerBytes, 8 * maxResultLength);
}

/** A key that is equal for definitions that can share a connection. It is derived from secrets: never store or log it. */
export function fingerprint(definition: McpDefinition): string {
  const { tenantId, name, address } = definition;
  return createHash('sha256')
    .update(JSON.stringify([tenantId, name, address, maxAnswerBytes(definition)]))
    .digest('hex');
}

/** The secret values that are sent to a server, which nobody may see. */
export function listServerSecrets({ address, secretNames }: McpDefinition): string[] {
  return address.kind === 'http' ? listSecretValues({ headers: address.headers, secretNames }) : [];
}
