import { z } from 'zod';
import { list, parseInput, text } from '../api/input.ts';
import { WebhookEvent } from '../generated/prisma/client.ts';

const maxUrlLength = 2_000;

const events = list(z.enum(WebhookEvent), Object.keys(WebhookEvent).length)
  .min(1, 'must name one event at least')
  .transform((given) => [...new Set(given)]);

const url = text(1, maxUrlLength).superRefine((value, context) => {
  const problem = explainUrl(value);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

const webhookInput = z.strictObject({ url, events, isActive: z.boolean().nullish() });

/** A WebhookInput, checked. */
export interface WebhookInput {
  readonly url: string;
  readonly events: WebhookEvent[];
  readonly isActive: boolean;
}

/**
 * Checks a WebhookInput. Whether the operator allows the address is not checked here.
 * @throws {BadUserInputError} naming the field and its limit
 */
export function parseWebhookInput(value: unknown): WebhookInput {
  const { isActive, ...given } = parseInput(webhookInput, value, ['input']);
  return { ...given, isActive: isActive ?? true };
}

function explainUrl(value: string): string | null {
  const parsed = URL.parse(value);
  if (parsed === null || !/^https?:\/\//i.test(value)) return 'must be a URL that begins with https:// or http://';
  if (/[^\x21-\x7e]|\\/.test(value)) return 'must hold visible ASCII characters only, and no backslash';
  if (parsed.username !== '' || parsed.password !== '') return 'must not hold a user name or password';
  return parsed.hash === '' ? null : 'must not have a fragment';
}
