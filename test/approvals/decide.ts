import type { HttpAnswer, TestApp } from '../support/app.ts';
import type { SocketClient } from '../support/chat.ts';
import type { Transport, TurnReader } from '../support/clients/turn-reader.ts';

/** A call of the built-in tool that a person has to approve. */
export function refund(id: string, orderNumber = '1042') {
  return { id, name: 'refund_order', arguments: { orderNumber } };
}

/** A conversation whose active agent may refund orders. */
export async function createBillingConversation(socketClient: SocketClient): Promise<string> {
  const { agents } = await socketClient.ask('{ agents(first: 50) { edges { node { id name } } } }');
  const billing = agents.edges.find(({ node }: { node: { name: string } }) => node.name === 'billing');
  const conversationId = await socketClient.createConversation({ scenarioKey: 'support', agentId: billing.node.id });
  return conversationId;
}

/** A turn that has come to wait for a person, and somebody who follows it. */
export interface WaitingTurn {
  readonly conversationId: string;
  readonly runId: string;
  readonly reader: TurnReader;
}

/**
 * Starts a turn and reads until it waits.
 * @param input of chatTurn; without a conversationId, in a new one
 * @param requests how many approvals it asks for
 */
export async function startWaitingTurn(
  socketClient: SocketClient,
  input: Record<string, unknown> = {},
  requests = 1,
  transport: Transport = 'ws',
): Promise<WaitingTurn> {
  const given = input.conversationId;
  const conversationId = typeof given === 'string' ? given : await createBillingConversation(socketClient);
  const reader = socketClient.chatTurn(transport, { content: 'Refund 1042', ...input, conversationId });
  for (let count = 0; count < requests; count++) await reader.until('ApprovalRequested');
  return { conversationId, runId: reader.events[0]?.runId ?? '', reader };
}

const approveDocument = `
  mutation ($runId: ID!, $toolCallId: ID!, $approve: Boolean!, $arguments: String) {
    approveToolCall(runId: $runId, toolCallId: $toolCallId, approve: $approve, arguments: $arguments) {
      id status lastSeq toolCalls { id callId status arguments editedArguments decidedBy error }
    }
  }`;

/** The id of a call, by the id that the model chose; an id of no call if the user sees none. */
async function findCallId(
  app: Pick<TestApp, 'query'>,
  { token }: Pick<SocketClient, 'token'>,
  runId: string,
  callId: string,
): Promise<string> {
  const document = 'query ($id: ID!) { run(id: $id) { toolCalls { id callId } } }';
  const { data } = await app.query(document, { id: runId }, { token });
  const calls: { id: string; callId: string }[] = data?.run?.toolCalls ?? [];
  return calls.find((call) => call.callId === callId)?.id ?? `tcl_${crypto.randomUUID()}`;
}

/** Decides on a call, which the model named: has to work. @returns the run */
export async function decide(
  socketClient: SocketClient,
  runId: string,
  callId: string,
  approve = true,
  edited?: string,
) {
  const document = 'query ($id: ID!) { run(id: $id) { toolCalls { id callId } } }';
  const { run } = await socketClient.ask(document, { id: runId });
  const toolCallId = run.toolCalls.find((call: { callId: string }) => call.callId === callId)?.id;
  const variables = { runId, toolCallId, approve, ...(edited === undefined ? {} : { arguments: edited }) };
  return (await socketClient.ask(approveDocument, variables)).approveToolCall;
}

/**
 * Decides on a call, whatever comes of it.
 * @param decision with the id that the model chose, or with `toolCallId`
 */
export async function tryDecide(
  app: Pick<TestApp, 'query'>,
  socketClient: SocketClient,
  { callId, ...decision }: { runId: string; callId: string; toolCallId?: string; approve: boolean; arguments?: string },
): Promise<HttpAnswer> {
  const toolCallId = decision.toolCallId ?? (await findCallId(app, socketClient, decision.runId, callId));
  return app.query(approveDocument, { ...decision, toolCallId }, { token: socketClient.token });
}
