import type { Message } from '../generated/prisma/client.ts';
import { makePreview, makePreviewOfBeginning } from './text.ts';

/** What stands for a message that a guardrail has blocked. */
const blockedPreview = '[BLOCKED]';

/**
 * Makes the preview of a message.
 * @param isBeginning whether its content may be only the beginning of it
 * @param length the maximum length in user-perceived characters
 * @returns null if the whole content has to be looked at
 */
export function previewMessage(
  { status, content }: Pick<Message, 'status' | 'content'>,
  isBeginning: boolean,
  length: number,
): string | null {
  if (status === 'BLOCKED') return blockedPreview;
  return isBeginning ? makePreviewOfBeginning(content, length) : makePreview(content, length);
}
