import {
  buildPlaceEdge,
  buildPlacePage,
  type NumberedList,
  type PlaceArgs,
  selectPlaces,
} from '../api/numbered-paging.ts';
import type { Connection } from '../api/paging.ts';
import type { Conversation, Message, Prisma } from '../generated/prisma/client.ts';

/** The list of a conversation's messages, by position. */
export const messageList: NumberedList = { name: 'messages', defaultSize: 100, maxSize: 500 };

/**
 * What to load for a page of a conversation's messages. It is a nested selection, so that the pages of many conversations
 * are loaded with the conversations.
 * @throws {BadUserInputError} if a page argument is invalid
 */
export function selectMessagePage(
  args: PlaceArgs,
): Pick<Prisma.Conversation$messagesArgs, 'where' | 'orderBy' | 'take'> {
  const { range, direction, take } = selectPlaces(messageList, args);
  const loading = {
    where: { position: range },
    orderBy: { position: direction },
    take,
    // If the document selects nodes, Pothos loads whole rows; a page without nodes still needs the cursors.
    select: { position: true },
  };
  return loading;
}

/**
 * Builds the page from the rows that selectMessagePage has loaded.
 * @throws {BadUserInputError} if a cursor is of another conversation
 */
export function buildMessagePage(
  conversation: Pick<Conversation, 'id' | 'messageCount'>,
  loaded: readonly Message[],
  args: PlaceArgs,
): Connection<Message> {
  const parent = { id: conversation.id, count: conversation.messageCount };
  return buildPlacePage(messageList, args, parent, loaded, (message) => message.position);
}

/** A message as an edge of `Conversation.messages`, in ascending order. */
export function buildMessageEdge(message: Message) {
  return buildPlaceEdge(messageList, message, message.position, message.conversationId);
}
