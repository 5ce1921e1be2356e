import { buildPlaceEdge, buildPlacePage, type NumberedList, selectPlaces } from '../../api/numbered-paging.ts';
import { type Connection, type PageArgs, pageSizes } from '../../api/paging.ts';
import type { Conversation, Prisma, Run } from '../../generated/prisma/client.ts';
import { provisionalNumbers } from '../statuses.ts';

const runs: NumberedList = { name: 'runs', ...pageSizes };

/** What to load of a conversation's runs for a page: nested, so that it comes with the conversation. */
export function selectRunPage(args: PageArgs): Pick<Prisma.Conversation$runsArgs, 'where' | 'orderBy' | 'take'> {
  const { range, direction, take } = selectPlaces(runs, args);
  const loading = {
    // Messages that wait to join a run are no turns yet.
    where: { number: { ...range, ...(range.lt === undefined && { lt: provisionalNumbers }) } },
    orderBy: { number: direction },
    take,
    // Where the document asks for nodes, Pothos loads them whole; a page without still needs its cursors.
    select: { number: true },
  };
  return loading;
}

/** The page out of what selectRunPage loaded. */
export function buildRunPage(
  conversation: Pick<Conversation, 'id' | 'runCount'>,
  loaded: readonly Run[],
  args: PageArgs,
): Connection<Run> {
  return buildPlacePage(runs, args, { id: conversation.id, count: conversation.runCount }, loaded, (run) => run.number);
}

/** A run as an item of its conversation's list. */
export function buildRunEdge(run: Run) {
  return buildPlaceEdge(runs, run, run.number, run.conversationId);
}
