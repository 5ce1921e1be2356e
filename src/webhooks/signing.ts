import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

/** The bytes of a secret: Standard Webhooks asks for 24 to 64. */
const secretBytes = 32;

/** Creates the secret of a webhook: `whsec_` and 32 random bytes in base64. */
export function createSigningSecret(): string {
  return `whsec_${randomBytes(secretBytes).toString('base64')}`;
}

/**
 * The headers of Standard Webhooks for one attempt.
 * @param id the same for all attempts of a delivery: receivers recognise a repeated one by it
 * @param at when it is sent: receivers refuse old ones
 * @param secrets the signature has a part for each of them
 */
export function signDelivery(id: string, at: Date, body: string, secrets: readonly string[]): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
  };
}
