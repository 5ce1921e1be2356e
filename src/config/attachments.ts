import type { Variables } from './variables.ts';

/** What uploaded attachments may take. */
export interface AttachmentsEnv {
  /** The largest file, in bytes. */
  readonly maxBytes: number;
  /** What a user, and all users of a tenant together, may have stored, in bytes. */
  readonly userBytes: number;
  readonly tenantBytes: number;
  /** How long an upload waits for its message, in milliseconds. Then it is deleted. */
  readonly ttlMs: number;
}

/** What the variables say of attachments. */
export function readAttachments(read: Variables): AttachmentsEnv {
  return {
    maxBytes: read.ATTACHMENT_MAX_MB * 1_000_000,
    userBytes: read.ATTACHMENT_USER_MB * 1_000_000,
    tenantBytes: read.ATTACHMENT_TENANT_MB * 1_000_000,
    ttlMs: read.ATTACHMENT_TTL_SECONDS * 1_000,
  };
}
