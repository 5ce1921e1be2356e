import { UnavailableError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { storedAttachments } from '../attachment.ts';
import { quoteText, writeLine } from './quote.ts';

/** Messages that are in memory at the same time. */
const batch = 20;

/** The conversation of an export, up to the message that was its last one when the export began. */
export interface ExportedConversation {
  readonly id: string;
  readonly maxNumber: number;
  readonly clientGone: AbortSignal | null;
}

/** Writes the active branch of a conversation for people. Headings are the export's own: texts are quoted. */
export async function* writeMarkdown(
  { tenantId, userId }: Viewer,
  db: Db,
  { id, maxNumber, clientGone }: ExportedConversation,
): AsyncGenerator<string> {
  const { title } = await db.conversation.findUniqueOrThrow({
    where: { id, tenantId, userId },
    select: { title: true },
  });
  yield `# ${writeLine(title)}\n`;
  for (let after = 0; ; ) {
    if (clientGone?.aborted) throw new UnavailableError('The client disconnected before the export was made.');
    const messages = await db.message.findMany({
      where: { tenantId, conversationId: id, position: { gt: after }, number: { lte: maxNumber } },
      orderBy: { position: 'asc' },
      take: batch,
      include: {
        agent: { select: { name: true } },
        toolCalls: { orderBy: [{ step: 'asc' }, { index: 'asc' }], select: { name: true, status: true } },
        citations: { orderBy: { index: 'asc' } },
      },
    });
    for (const { role, agent, content, status, createdAt, toolCalls, citations, ...message } of messages) {
      const author = role === 'USER' ? 'User' : role === 'SYSTEM' ? 'System' : 'Assistant';
      const name = role === 'ASSISTANT' && agent !== null ? ` (${writeLine(agent.name)})` : '';
      yield `\n## ${author}${name}, ${createdAt.toISOString()}\n\n`;
      if (status !== 'COMPLETE') yield `*${status.toLowerCase()}*\n\n`;
      yield quoteText(content);
      const lines = [
        ...storedAttachments
          .parse(message.attachments)
          .map(({ name, url }) => `Attachment: ${writeLine(name)}, ${writeLine(url)}`),
        ...toolCalls.map((call) => `Tool: ${writeLine(call.name)}, ${call.status.toLowerCase()}`),
        ...citations.map(
          ({ index, title, url }) => `Source ${index}: ${writeLine(title)}${url === null ? '' : `, ${writeLine(url)}`}`,
        ),
      ];
      if (lines.length > 0) yield `\n${lines.map((line) => `- ${line}\n`).join('')}`;
      after = message.position ?? after;
    }
    if (messages.length < batch) return;
  }
}
