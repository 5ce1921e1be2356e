import { randomUUIDv7 } from 'node:crypto';
import { badInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { readableRows } from '../../projects/access.ts';
import type { ConversationInFile, MessageInFile, ToolCallInFile } from './format.ts';

/** A message with its new id; its parent, run and agent exist. */
export type LinkedMessage = MessageInFile & {
  /** The place in the active branch, from 1; null: it is in another one. */
  readonly position: number | null;
};

/** A conversation of a file, with new ids throughout. All ids are row ids, and name what there is. */
export interface LinkedParts extends Pick<ConversationInFile, 'runs' | 'handoffs'> {
  readonly messages: readonly LinkedMessage[];
  readonly toolCalls: readonly ToolCallInFile[];
}

/**
 * Gives new ids to all in a conversation of a file. What names something that is not in the file, or an agent that the viewer may not
 * see, loses the name, or is left out where it cannot be without.
 * @param notes gets a sentence on what was left out
 * @throws {BadUserInputError} if two messages or runs have the same id, or a parent does not stand before its message
 */
export async function linkParts(
  viewer: Viewer,
  db: Db,
  file: ConversationInFile,
  notes: string[],
): Promise<LinkedParts> {
  const agents = await findAgents(viewer, db, file);
  const knownAgent = (id: string | null) => (id !== null && agents.has(id) ? id : null);
  const messageIds = newIds(file.messages, 'messages');
  const runIds = newIds(file.runs, 'runs');
  const { messages } = file;
  const before = new Set<string>();
  for (const [index, { id, parentId }] of messages.entries()) {
    if (parentId !== null && !before.has(parentId))
      throw badInput(['messages', index, 'parentId'], 'names no message before it');
    before.add(id);
  }
  const runs = file.runs.filter(({ userMessageId }) => messageIds.has(userMessageId));
  const kept = new Set(runs.map(({ id }) => id));
  const newRun = (id: string | null) => (id !== null && kept.has(id) ? (runIds.get(id) ?? null) : null);
  const newMessage = (id: string | null) => (id === null ? null : (messageIds.get(id) ?? null));
  const linkDecision = <Decision extends MessageInFile['routingDecision']>(decision: Decision) =>
    decision && {
      ...decision,
      rootAgentId: knownAgent(decision.rootAgentId),
      selectedAgentIds: decision.selectedAgentIds.filter((id) => agents.has(id)),
    };
  const positions = placeActive(file);
  const seenCalls = new Set<string>();
  const toolCalls = [...file.toolCalls, ...file.toolCallsWithoutRun].flatMap((call) => {
    const [runId, messageId] = [newRun(call.runId), newMessage(call.messageId)];
    const key = `${runId} ${call.callId}`;
    if ((runId === null && messageId === null) || (runId !== null && seenCalls.has(key))) return [];
    seenCalls.add(key);
    return [{ ...call, runId, messageId, agentId: knownAgent(call.agentId) }];
  });
  const seenHandoffs = new Set<string>();
  const handoffs = file.handoffs.flatMap((handoff) => {
    const runId = newRun(handoff.runId);
    const key = `${runId} ${handoff.callId}`;
    const hasAgents = agents.has(handoff.fromAgentId) && agents.has(handoff.toAgentId);
    if (runId === null || !hasAgents || seenHandoffs.has(key)) return [];
    seenHandoffs.add(key);
    return [{ ...handoff, runId }];
  });
  const lost = (kind: string, from: number, to: number) =>
    from > to && notes.push(`left out: ${from - to} ${kind} of runs, messages or agents that do not exist here.`);
  lost('runs', file.runs.length, runs.length);
  lost('tool calls', file.toolCalls.length + file.toolCallsWithoutRun.length, toolCalls.length);
  lost('handoffs', file.handoffs.length, handoffs.length);
  const named = listAgents(file).filter((id) => !agents.has(id));
  if (named.length > 0) notes.push(`left out: the names of ${new Set(named).size} agents that do not exist here.`);
  return {
    messages: messages.map((message) => ({
      ...message,
      id: required(messageIds, message.id),
      parentId: newMessage(message.parentId),
      runId: newRun(message.runId),
      agentId: knownAgent(message.agentId),
      routingDecision: linkDecision(message.routingDecision),
      position: positions.get(message.id) ?? null,
      citations: [...new Map(message.citations.map((citation) => [citation.index, citation])).values()],
    })),
    runs: runs.map((run) => ({
      ...run,
      id: required(runIds, run.id),
      userMessageId: required(messageIds, run.userMessageId),
      agentId: knownAgent(run.agentId),
      routingDecision: linkDecision(run.routingDecision),
    })),
    toolCalls,
    handoffs,
  };
}

function newIds(rows: readonly { readonly id: string }[], name: string): Map<string, string> {
  const ids = new Map<string, string>();
  for (const [index, { id }] of rows.entries()) {
    if (ids.has(id)) throw badInput([name, index, 'id'], 'is duplicated');
    ids.set(id, randomUUIDv7());
  }
  return ids;
}

function required(ids: ReadonlyMap<string, string>, id: string): string {
  const found = ids.get(id);
  if (found === undefined) throw new Error('A row of an import has no new id.');
  return found;
}

/** The places of the messages of the active branch, by their ids in the file. Parents stand before their messages: it ends. */
function placeActive({ messages, activeLeafId }: ConversationInFile): Map<string, number> {
  const byId = new Map(messages.map((message) => [message.id, message]));
  if (activeLeafId !== null && !byId.has(activeLeafId)) throw badInput(['activeLeafId'], 'names no message');
  const branch: string[] = [];
  for (let id = activeLeafId; id !== null; id = byId.get(id)?.parentId ?? null) branch.push(id);
  return new Map(branch.reverse().map((id, index) => [id, index + 1]));
}

function listAgents({ messages, runs, toolCalls, toolCallsWithoutRun, handoffs }: ConversationInFile): string[] {
  const named = [...messages, ...runs, ...toolCalls, ...toolCallsWithoutRun].map(({ agentId }) => agentId);
  const ids = [...named, ...handoffs.flatMap(({ fromAgentId, toAgentId }) => [fromAgentId, toAgentId])];
  return ids.filter((id) => id !== null);
}

/** The agents of a conversation that the viewer may see. Deleted ones are the past of a conversation, too. */
async function findAgents(viewer: Viewer, db: Db, file: ConversationInFile): Promise<Set<string>> {
  const decided = [...file.messages, ...file.runs].flatMap(({ routingDecision }) =>
    routingDecision ? [routingDecision.rootAgentId, ...routingDecision.selectedAgentIds] : [],
  );
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  const ids = [...new Set([...listAgents(file), ...decided.filter((id) => id !== null && uuid.test(id))])];
  const found = await db.agent.findMany({
    where: {
      tenantId: viewer.tenantId,
      id: { in: ids.filter((id) => id !== null).slice(0, 1_000) },
      AND: [{ OR: [{ ownerId: null }, { ownerId: viewer.userId }] }, readableRows(viewer)],
    },
    select: { id: true },
  });
  return new Set(found.map(({ id }) => id));
}
