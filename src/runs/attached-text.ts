import type { Message } from '../generated/prisma/client.ts';

/** The text, and below it the name, type and address of each attachment. */
export function withAttachments(message: Pick<Message, 'content' | 'attachments'>): string {
  if (!Array.isArray(message.attachments) || message.attachments.length === 0) return message.content;
  const lines = message.attachments.flatMap((entry) =>
    typeof entry === 'object' && entry !== null && !Array.isArray(entry)
      ? [`[attachment: ${String(entry.name)} (${String(entry.type)}) ${String(entry.url)}]`]
      : [],
  );
  return [message.content, ...lines].join('\n');
}
