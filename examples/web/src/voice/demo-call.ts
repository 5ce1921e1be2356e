import type { VoiceAgent, VoiceCall } from '../../../voice-call.ts';

type ProviderEvent = Parameters<VoiceCall['take']>[0];

/** The events of a short call, as a provider sends them: the demo has no voice model. */
export function writeDemoEvents(sessionId: string, agents: readonly VoiceAgent[]): ProviderEvent[] {
  const [root] = agents;
  // One whose tools nobody has to approve.
  const next = agents.find(
    ({ name, tools }) =>
      root?.handoffs.includes(name) && tools.some(isLookup) && !tools.some(({ requiresApproval }) => requiresApproval),
  );
  const speaker = next ?? root;
  const id = (place: number) => `${sessionId}_${place}`;
  return [
    { type: 'conversation.item.added', item: { id: id(1) } },
    {
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: id(1),
      transcript: 'Where is my order 1042?',
    },
    ...(next ? [call(next.transferTool, '{}', 'call_1')] : []),
    ...(speaker?.tools.some(isLookup) ? [call('lookup_order', '{"orderNumber":"1042"}', 'call_2')] : []),
    { type: 'conversation.item.added', item: { id: id(2) } },
    {
      type: 'response.output_audio_transcript.done',
      item_id: id(2),
      transcript: 'Your order 1042, an espresso machine, is on its way to you.',
    },
  ];
}

const isLookup = ({ name }: { readonly name: string }) => name === 'lookup_order';

function call(name: string, written: string, callId: string): ProviderEvent {
  return { type: 'response.function_call_arguments.done', name, call_id: callId, arguments: written };
}
