import { type Attachment, storedAttachments } from '../conversations/attachment.ts';
import type { Message } from '../generated/prisma/client.ts';

/** The text, and below it the name, the type and, if it is elsewhere, the address of each attachment: a line each. */
export function withAttachments(message: Pick<Message, 'content' | 'attachments'>): string {
  const attachments = readAttachments(message);
  return [message.content, ...attachments.map(writeLine)].join('\n');
}

/** The attachments of a message; none, if they are not as they are stored. */
export function readAttachments({ attachments }: Pick<Message, 'attachments'>): readonly Attachment[] {
  if (!Array.isArray(attachments) || attachments.length === 0) return [];
  const read = storedAttachments.safeParse(attachments);
  return read.success ? read.data : [];
}

function writeLine({ id, name, type, url }: Attachment): string {
  // A name may have a line end in it, as it was given.
  const line = id === null ? `[attachment: ${name} (${type}) ${url}]` : `[attachment: ${name} (${type})]`;
  return line.replaceAll(/[\r\n\u2028\u2029]+/g, ' ');
}
