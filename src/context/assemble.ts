import { setImmediate as nextTurn } from 'node:timers/promises';
import { formatId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type RecentMessage, readRecentTurns } from '../conversations/recent-turns.ts';
import { listNewest } from '../drafts/read.ts';
import { requireProject } from '../projects/access.ts';
import { BlockWriter, margin } from './block.ts';
import type { SnapshotInput } from './input.ts';
import { type ContextRecord, readRecords } from './records.ts';
import type { ContextRuntime } from './runtime.ts';

/** The characters of each section, at most. Together with titles and notes, a block has fewer than 50,000. */
const maxCharacters = {
  rights: 1_000,
  page: 8_000,
  data: 8_000,
  record: 4_000,
  records: 14_000,
  drafts: 3_000,
  turns: 5_000,
} as const;
const maxMessageCharacters = 600;
/** Drafts that are named. */
const maxDrafts = 20;
const recentTurns = { maxConversations: 3, maxMessages: 6, maxCharacters: maxMessageCharacters + margin } as const;

/** The text of a snapshot, and what became of it. */
export type AssembledSnapshot = ReturnType<BlockWriter['finish']>;

/**
 * Assembles what the viewer has at hand: what the user may do, the page, the project, what the application gives, records,
 * the drafts of the project or the viewer's own, and the latest turns of the viewer's own conversations.
 * @throws {UnavailableError} if the client disconnected; for the project, as `requireProject` does
 */
export async function assembleSnapshot(
  viewer: Viewer,
  context: ContextRuntime,
  { page, project: named, data, recordIds, redactPii }: SnapshotInput,
  clientGone: AbortSignal | null,
): Promise<AssembledSnapshot> {
  const project =
    named === null ? null : await requireProject(viewer, context.db, named, 'VIEWER', ['input', 'projectId']);
  const [records, drafts, turns] = await Promise.all([
    readRecords(viewer, context, recordIds, clientGone),
    listNewest(viewer, context.db, { conversationId: null, projectId: project?.id ?? null }, maxDrafts),
    readRecentTurns(viewer, context.db, { projectId: project?.id ?? null, ...recentTurns }),
  ]);
  const writer = new BlockWriter({ redactPii, references: context.references });
  // The ids that were asked for are known before any text is read.
  const names = new Map(records.map(({ recordId, id }) => [recordId, writer.nameOf(id)]));

  // Texts are searched: others have their turn of the event loop after each.
  writer.add('What the user may do', describeRights(viewer), maxCharacters.rights);
  if (page !== null) writer.addPage('The page that the user sees', page, maxCharacters.page);
  await nextTurn();
  if (project !== null) writer.add('Project', `${project.name}\nKey: ${project.key}`, maxCharacters.rights);
  if (data !== null) writer.addJson('What the application says of it, as JSON', data, maxCharacters.data);
  await addRecords(writer, records, names);
  await nextTurn();
  if (drafts.length > 0) {
    const heads = drafts.map(({ key, title, version, updatedAt }) => {
      return { key, title, version, updatedAt: updatedAt.toISOString() };
    });
    writer.addJson(`The ${project === null ? 'user’s' : 'project’s'} drafts, as JSON`, heads, maxCharacters.drafts);
  }
  if (turns.length > 0)
    writer.addJson(
      'The latest turns of the user’s conversations, as JSON',
      describeTurns(turns, writer),
      maxCharacters.turns,
    );
  return writer.finish();
}

function describeRights({ roles }: Viewer): string {
  const admin = roles.includes('admin')
    ? 'The user may change shared agents, scenarios and tools.'
    : 'The user may not change shared agents, scenarios and tools.';
  return `Roles: ${roles.length === 0 ? 'none' : roles.join(', ')}\n${admin}`;
}

async function addRecords(
  writer: BlockWriter,
  records: readonly ContextRecord[],
  names: ReadonlyMap<string, string>,
): Promise<void> {
  let left: number = maxCharacters.records;
  for (const { recordId, id, outcome } of records) {
    await nextTurn();
    const title = `Record ${recordId.slice(0, recordId.length - id.length)}${names.get(recordId) ?? id}`;
    const room = Math.min(left, maxCharacters.record);
    if (room <= 0) {
      writer.noteTruncation();
      writer.add(title, 'It was left out: the records before it have used the room.', maxCharacters.rights);
    } else if (outcome.ok) {
      left -= writer.addJson(`${title}, as JSON`, outcome.value, room);
    } else {
      left -= writer.add(title, `It could not be read: ${outcome.error}`, Math.min(room, maxCharacters.rights));
    }
  }
}

/** As JSON, so that each text is searched by itself: escapes of line ends would hide what begins a line. */
function describeTurns(turns: readonly RecentMessage[], writer: BlockWriter) {
  const conversations = new Map<
    string,
    { conversationId: string; title: string; messages: Record<string, string>[] }
  >();
  for (const { conversationId: id, title, role, content } of turns) {
    const conversationId = formatId('Conversation', id);
    const conversation = conversations.get(id) ?? { conversationId, title, messages: [] };
    conversation.messages.push({ [role.toLowerCase()]: writer.cut(content, maxMessageCharacters) });
    conversations.set(id, conversation);
  }
  return [...conversations.values()];
}
