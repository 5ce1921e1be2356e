import { parseStorageUrl, type StorageEnv } from './storage.ts';
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
  /** How long a signed address can be fetched at most, in milliseconds. */
  readonly urlMs: number;
  /** Whether files that a message has by their URLs are read for models. */
  readonly fetches: boolean;
  /** Where files are stored. Null: in the database. */
  readonly storage: StorageEnv | null;
}

/** What the variables say of attachments. */
export function readAttachments(read: Variables): AttachmentsEnv {
  return {
    maxBytes: read.ATTACHMENT_MAX_MB * 1_000_000,
    userBytes: read.ATTACHMENT_USER_MB * 1_000_000,
    tenantBytes: read.ATTACHMENT_TENANT_MB * 1_000_000,
    ttlMs: read.ATTACHMENT_TTL_SECONDS * 1_000,
    urlMs: read.ATTACHMENT_URL_SECONDS * 1_000,
    fetches: read.ATTACHMENT_FETCH !== 'false',
    storage: read.STORAGE_URL === undefined ? null : parseStorageUrl(read.STORAGE_URL),
  };
}
