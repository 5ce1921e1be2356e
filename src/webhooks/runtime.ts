import type { Database } from '../database/client.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import type { WebhookSender } from './sender.ts';

/** What reading and changing webhooks takes. One for the process. */
export interface WebhookRuntime {
  readonly db: Database;
  readonly keys: KeyRing;
  /** Which addresses webhooks may have. */
  readonly guard: AddressGuard;
  readonly sender: Pick<WebhookSender, 'wake'>;
}
