import type { Env } from '../config/env.ts';
import { createDial } from '../outbound/dial.ts';
import type { WebhookRuntime } from '../webhooks/runtime.ts';
import type { SenderOptions } from '../webhooks/sender.ts';
import { WebhookSender } from '../webhooks/sender.ts';

/** Starts to send webhooks. It ends with `opening`. */
export function openWebhooks(
  { webhooks }: Env,
  parts: Omit<WebhookRuntime, 'sender'> & Pick<SenderOptions, 'logger'>,
  opening: AsyncDisposableStack,
): WebhookRuntime {
  const { db, keys, guard, logger } = parts;
  const { timeoutSeconds, atOnce } = webhooks;
  // A receiver may close connections when it likes: each request has one of its own.
  const fetchGuarded = createDial({ guard, keepAlive: false });
  const sender = opening.use(
    new WebhookSender({ db, keys, logger, fetchGuarded, timeoutMs: timeoutSeconds * 1000, atOnce }),
  );
  sender.start();
  return { db, keys, guard, sender };
}
