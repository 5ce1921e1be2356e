import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import { listNamed, listSelected } from '../../graphql/selection.ts';
import type { PlainQuery } from '../list.ts';

/** Fields of a conversation that its row holds. */
const conversationFields: ReadonlySet<string> = new Set([
  '__typename',
  'id',
  'title',
  'userId',
  'messageCount',
  'isArchived',
  'isPinned',
  'createdAt',
  'updatedAt',
  'lastMessage',
]);
/** Fields of a message that its row holds without anything that may have any size. */
const messageFields: ReadonlySet<string> = new Set([
  '__typename',
  'id',
  'role',
  'status',
  'finishReason',
  'preview',
  'agent',
  'source',
  'position',
  'createdAt',
]);

/** Whether a document selects nothing of conversations but what one statement can read. Null: it needs more. */
export function selectPlain(info: GraphQLResolveInfo): PlainQuery | null {
  const edges = listNamed(listSelected(info.fieldNodes, info), 'edges');
  const selected = listSelected(listNamed(listSelected(edges, info), 'node'), info);
  if (!areAmong(conversationFields, selected)) return null;
  const lastMessage = listNamed(selected, 'lastMessage');
  const ofMessage = listSelected(lastMessage, info);
  if (!areAmong(messageFields, ofMessage)) return null;
  // Of another length, more of the content may be needed.
  if (listNamed(ofMessage, 'preview').some((node) => (node.arguments ?? []).length > 0)) return null;
  return { plain: { lastMessage: lastMessage.length > 0 } };
}

function areAmong(names: ReadonlySet<string>, nodes: readonly FieldNode[]): boolean {
  return nodes.every((node) => names.has(node.name.value));
}
