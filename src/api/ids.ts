import { BadUserInputError } from './errors.ts';

/** The prefix of each kind of id: opaque to clients, typed to people. */
const idPrefixes = {
  Conversation: 'conv',
  Message: 'msg',
  Run: 'run',
  Agent: 'agt',
  Scenario: 'scn',
  ChatSettings: 'set',
  HttpTool: 'tool',
  McpServer: 'mcp',
  ToolCall: 'tcl',
  Handoff: 'hdf',
  ContextSnapshot: 'ctx',
  RealtimeSession: 'rts',
  Contact: 'con',
  Draft: 'drf',
  Project: 'prj',
  KnowledgeBase: 'kb',
  KnowledgeDocument: 'doc',
  Ticket: 'tkt',
  TicketComment: 'cmt',
  Webhook: 'wh',
  WebhookDelivery: 'whd',
  Feedback: 'fb',
  Schedule: 'sch',
  Attachment: 'att',
  Memory: 'mem',
} as const;

export type IdKind = keyof typeof idPrefixes;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The public id of a row: `conv_0198…`. */
export function formatId(kind: IdKind, id: string): string {
  return `${idPrefixes[kind]}_${id}`;
}

/**
 * The row id in a public id.
 * @param path where in the arguments the id stood, for the error
 * @throws {BadUserInputError} when it is malformed, or an id of another kind
 */
export function parseId(kind: IdKind, id: string, path: readonly (string | number)[]): string {
  const row = readId(kind, id);
  if (row === null) {
    const prefix = `${idPrefixes[kind]}_`;
    throw new BadUserInputError(`${path.join('.')} is not an id of type ${kind}: it must be ${prefix}<uuid>.`, path);
  }
  return row;
}

/**
 * The row id in a public id of a kind, for fields that take something else as well.
 * @returns null: it is no id of that kind
 */
export function readId(kind: IdKind, id: string): string | null {
  const prefix = `${idPrefixes[kind]}_`;
  const row = id.slice(prefix.length);
  return id.startsWith(prefix) && uuid.test(row) ? row : null;
}

/**
 * The kind and row id in a public id of any kind.
 * @throws {BadUserInputError} when it is malformed, or of no known kind
 */
export function parseAnyId(id: string, path: readonly (string | number)[]): { kind: IdKind; row: string } {
  for (const kind of Object.keys(idPrefixes) as IdKind[]) {
    if (id.startsWith(`${idPrefixes[kind]}_`)) return { kind, row: parseId(kind, id, path) };
  }
  throw new BadUserInputError(`${path.join('.')} is not an id of this API.`, path);
}
