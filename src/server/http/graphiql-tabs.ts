import { contactDocument, knowledgeDocument, ticketDocument } from './graphiql-desk-tabs.ts';

/** The first tab of GraphiQL: a turn. */
export const turnDocument = `# Press the run button: an agent answers, hands off
# to another one and uses a tool, live.
#
# The same idempotencyKey attaches to the turn that
# it started, from any tab, and replays its events.
# For another turn, change key and content:
# "Please refund order 1046." waits for approval:
# copy the id of its toolCall into the tab
# ApproveToolCall, run that, then this one again.
subscription Turn($input: ChatTurnInput!) {
  chatTurn(input: $input) {
    __typename
    seq
    ... on RoutingDecided {
      decision { rootAgent { name } confidence reasoning }
    }
    ... on MessageStarted { agent { name } }
    ... on TextDelta { delta }
    ... on ToolCallStarted {
      toolCall { name arguments }
    }
    ... on ToolCallCompleted {
      toolCall { name status result }
    }
    ... on ApprovalRequested {
      runId
      toolCall { id name arguments }
    }
    ... on GuardrailTripped {
      result { guardrail stage decision { action reasoning } }
    }
    ... on HandoffOccurred {
      handoff { toAgent { name } reason }
    }
    ... on RunCompleted {
      run {
        handoffs { fromAgent { name } toAgent { name } }
        toolCalls { name status result }
        messages { agent { name } content }
      }
    }
    ... on RunFailed { error { code message } }
  }
}
`;

const createDocument = `# A conversation of your own: pass its id to chatTurn as conversationId.
mutation CreateConversation {
  createConversation(input: { title: "My first conversation", scenarioKey: "support" }) {
    id
    activeAgent { name }
  }
}
`;

const approveDocument = `# Answers ApprovalRequested, the last event of a turn that waits. Copy the id of its toolCall from the
# response of the first tab, and put it here in place of "tcl_…". GraphiQL ends a stream when you leave
# its tab; the turn goes on, and running the operation again attaches to it.
mutation ApproveToolCall {
  approveToolCall(toolCallId: "tcl_…", approve: true) {
    status
    toolCalls { id name arguments status }
  }
}
`;

const guardDocument = `# Guardrails of the scenario "guarded": addresses and card numbers are redacted, passwords stop a turn.
# Moderate checks a text without a turn. For a turn, create a conversation, and pass its id to chatTurn as
# conversationId, with the content "I am bob@example.com" or "My password is hunter2".
mutation Moderate {
  moderate(input: { scenarioKey: "guarded", text: "I am bob@example.com" }) {
    flagged
    action
    reasoning
    categories { name flagged score }
  }
}

mutation CreateGuardedConversation {
  createConversation(input: { title: "Guarded", scenarioKey: "guarded" }) {
    id
  }
}
`;

const contextDocument = `# A snapshot of what you have at hand. Its records are read by tools: order:1042 by lookup_order.
# For a turn with it, pass its id to chatTurn as contextSnapshotId, with the content "What do I see?".
mutation CreateContextSnapshot {
  createContextSnapshot(
    input: {
      page: "https://shop.example/orders/1042 - Your order"
      recordIds: ["order:1042"]
      data: { selected: "Espresso machine", customer: "bob@example.com" }
    }
  ) {
    id
    block
    redactions
    expiresAt
  }
}
`;

const orchestrateDocument = `# In the scenario "orchestrated", a classifier chooses in every turn which agent answers. Orchestrate asks it without a turn.
# For turns, create a conversation, and pass its id to chatTurn as conversationId: first with the content
# "Where is my order 1042?", then "I want a refund". RoutingDecided says who answers, and why; Switches shows each change
# to everybody who reads the conversation.
mutation Orchestrate {
  orchestrate(input: { scenarioKey: "orchestrated", lastUserMessage: "I want a refund" }) {
    rootAgent { name }
    switched
    confidence
    reasoning
    alternatives { name }
  }
}

mutation CreateOrchestratedConversation {
  createConversation(input: { title: "Orchestrated", scenarioKey: "orchestrated" }) {
    id
  }
}

subscription Switches {
  conversationEvents(conversationId: "conv_…") {
    __typename
    ... on AgentSwitched { fromAgent { name } toAgent { name } reason }
  }
}
`;

const callDocument = `# A call by voice: an ephemeral key for the browser. The demo endpoint mints one that says that it is the
# demo's: no call can begin with it. RecordRealtimeItems merges what was said into the conversation of the
# session; insert its id. An item that is sent twice is recorded once, and at decides its place.
mutation StartRealtimeSession {
  startRealtimeSession(input: { scenarioKey: "support" }) {
    id
    ephemeralKey
    expiresAt
    conversation { id }
    initialAgents { name handoffs transferTool tools { name } }
  }
}

mutation RecordRealtimeItems {
  recordRealtimeItems(
    sessionId: "rts_…"
    items: [
      { itemId: "item_1", role: USER, content: "I want to talk about my bill." }
      { itemId: "item_2", role: ASSISTANT, content: "Gladly.", agentName: "billing" }
    ]
  ) {
    id
    position
    source
    agent { name }
    conversation { activeAgent { name } }
  }
}
`;

const readDocument = `# Reads your conversations.
query Conversations {
  conversations(first: 10) {
    totalCount
    edges {
      node {
        id
        title
        activeAgent { name }
        messages(first: 50) { edges { node { role content agent { name } toolCalls { name status } } } }
      }
    }
  }
}
`;

/** The tabs after the first one, in their order. */
export const otherDocuments: readonly string[] = [
  approveDocument,
  createDocument,
  guardDocument,
  contextDocument,
  orchestrateDocument,
  callDocument,
  knowledgeDocument,
  ticketDocument,
  contactDocument,
  readDocument,
];
