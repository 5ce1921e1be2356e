import { buildPlacePage, type NumberedList, type PlaceArgs, selectPlaces } from '../api/numbered-paging.ts';
import type { Connection } from '../api/paging.ts';
import type { Conversation, Message, Prisma } from '../generated/prisma/client.ts';

/** Messages by their position in the conversation. */
export const messageList: NumberedList = { name: 'messages', defaultSize: 100, maxSize: 500 };

/**
 * What to load of a conversation's messages for a page. It is a nested selection, so that the pages of many
 * conversations come with the conversations.
 * @throws {BadUserInputError} when a page argument is wrong
 */
export function selectMessagePage(
  args: PlaceArgs,
): Pick<Prisma.Conversation$messagesArgs, 'where' | 'orderBy' | 'take'> {
  const { range, direction, take } = selectPlaces(messageList, args);
  const loading = {
    where: { position: range },
    orderBy: { position: direction },
    take,
    // Where the document asks for nodes, Pothos loads them whole; a page without still needs its cursors.
    select: { position: true },
  };
  return loading;
}

/**
 * The page out of what selectMessagePage has loaded.
 * @throws {BadUserInputError} when a cursor is of another conversation
 */
export function buildMessagePage(
  conversation: Pick<Conversation, 'id' | 'messageCount'>,
  loaded: readonly Message[],
  args: PlaceArgs,
): Connection<Message> {
  const parent = { id: conversation.id, count: conversation.messageCount };
  return buildPlacePage(messageList, args, parent, loaded, (message) => message.position);
}
