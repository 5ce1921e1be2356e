import type { Database } from '../database/client.ts';
import type { WebhookSender } from '../webhooks/sender.ts';
import type { TicketFeed } from './feed.ts';

/** What reading, changing and following tickets takes. One for the process. */
export interface TicketRuntime {
  readonly db: Database;
  readonly feed: TicketFeed;
  readonly sender: Pick<WebhookSender, 'wake'>;
}

/** Tells the readers of a tenant's tickets, and the sender of webhooks, that something was committed. */
export function announce({ feed, sender }: TicketRuntime, tenantId: string): void {
  feed.wake({ tenantId });
  sender.wake();
}
