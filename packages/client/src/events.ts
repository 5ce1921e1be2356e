/** `ChatTurnInput` of the schema, as far as a page needs it; further fields are sent as they are. */
export interface ChatTurnInput {
  readonly conversationId: string;
  readonly content?: string;
  /** Made by {@link createTurn} if it is absent. The same key never starts a second turn. */
  readonly idempotencyKey?: string;
  readonly [field: string]: unknown;
}

/** A tool call, as the events of a turn hold it. */
export interface EventCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  readonly status: string;
  readonly result: unknown;
  readonly error: string | null;
  readonly approvalExpiresAt: string | null;
}

interface EventMessage {
  readonly id: string;
  readonly content: string;
  readonly status: string;
}

interface Numbered {
  /** Its position in the run, from 1. */
  readonly seq: number;
  readonly runId: string;
}

/** The events of a turn, as {@link turnDocument} selects them. */
export type TurnEvent = Numbered &
  (
    | { readonly __typename: 'RunQueued'; readonly position: number }
    | { readonly __typename: 'RunStarted'; readonly userMessage: { readonly id: string; readonly content: string } }
    | { readonly __typename: 'MessageStarted'; readonly messageId: string; readonly agent: { readonly name: string } }
    | {
        readonly __typename: 'TextDelta' | 'ReasoningDelta';
        readonly messageId: string;
        readonly offset: number;
        readonly delta: string;
      }
    | { readonly __typename: 'TextRetracted'; readonly messageId: string; readonly length: number }
    | {
        readonly __typename: 'ToolCallStarted' | 'ToolCallCompleted' | 'ApprovalRequested';
        readonly toolCall: EventCall;
      }
    | {
        readonly __typename: 'HandoffOccurred';
        readonly handoff: {
          readonly id: string;
          readonly reason: string | null;
          readonly fromAgent: { readonly name: string };
          readonly toAgent: { readonly name: string };
        };
      }
    | { readonly __typename: 'MessageCompleted'; readonly message: EventMessage }
    | { readonly __typename: 'RunCompleted' | 'RunCancelled' }
    | {
        readonly __typename: 'RunFailed';
        readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean };
      }
    // What the schema has besides, or will have. It moves `seq`, and changes nothing else.
    | { readonly __typename: 'GuardrailTripped' | 'RoutingDecided' }
  );

const call = 'toolCall { id name arguments status result error approvalExpiresAt }';
const selection = `
  __typename seq runId
  ... on RunQueued { position }
  ... on RunStarted { userMessage { id content } }
  ... on MessageStarted { messageId agent { id name } }
  ... on TextDelta { messageId offset delta }
  ... on ReasoningDelta { messageId offset delta }
  ... on TextRetracted { messageId length }
  ... on ToolCallStarted { ${call} }
  ... on ToolCallCompleted { ${call} }
  ... on ApprovalRequested { ${call} }
  ... on HandoffOccurred { handoff { id reason fromAgent { id name } toAgent { id name } } }
  ... on MessageCompleted { message { id content status } }
  ... on RunFailed { error { code message retryable } }`;

/** The subscription that starts a turn, or attaches to the one that its key has started. */
export const turnDocument = `subscription ChatTurn($input: ChatTurnInput!) { event: chatTurn(input: $input) {${selection}\n} }`;
/** The subscription that follows a run whose id is known. */
export const runDocument = `subscription RunEvents($runId: ID!, $after: Int) { event: runEvents(runId: $runId, after: $after) {${selection}\n} }`;
export const approveDocument =
  'mutation Approve($toolCallId: ID!, $approve: Boolean!, $arguments: String) { approveToolCall(toolCallId: $toolCallId, approve: $approve, arguments: $arguments) { id } }';
export const cancelDocument = 'mutation Cancel($id: ID!) { cancelRun(id: $id) { id } }';
