/** An HTTP tool as it is stored: a row of a tenant with its secrets decrypted, or an entry of the operator's file. */
export interface HttpToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly parameters: Record<string, unknown>;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A URL in which {name} stands for an argument. */
  readonly url: string;
  /** All headers, secret ones too. Null: its secrets cannot be decrypted, and it is not called. */
  readonly headers: Readonly<Record<string, string>> | null;
  /** Which headers are secret: their values are shown to nobody. Unset: unknown, so each of them may be. */
  readonly secretNames?: readonly string[];
  readonly timeoutMs: number;
  readonly maxResultLength: number;
  readonly requiresApproval: boolean;
  /** Whether a call may be made again if its outcome was lost. */
  readonly isIdempotent: boolean;
  readonly requiredRoles: readonly string[];
}

/** Whether a tool is idempotent unless it says so itself: GET is by definition (RFC 9110, section 9.2.2). */
export function isIdempotentByDefault(method: HttpToolDefinition['method']): boolean {
  return method === 'GET';
}
