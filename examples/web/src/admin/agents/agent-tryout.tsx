import { useChatTurn } from '@switchboard/client/react';
import { useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { socket } from '../../client.ts';
import { Markdown } from '../../markdown.tsx';
import { ToolCall } from '../../tool-call.tsx';
import { DeleteTryoutDocument } from '../generated/graphql.ts';
import { Form, TextField } from '../parts/form.tsx';

/** A turn of an agent as the chat would have it: streamed, with its tools. Its conversation is deleted when the page is left. */
export function AgentTryout({ id }: { readonly id: string }) {
  const client = useClient();
  const [conversationId] = useState(() => `conv_${crypto.randomUUID()}`);
  const [content, setContent] = useState('What can you do for me?');
  const { turn, isRunning, send, approve, stop } = useChatTurn(socket, conversationId);
  const isUsed = useRef(false);
  useEffect(
    () => () => {
      if (isUsed.current) void client.mutation(DeleteTryoutDocument, { id: conversationId }).toPromise();
    },
    [client, conversationId],
  );
  const ask = () => {
    isUsed.current = true;
    send({ content, newConversation: { agentId: id } });
  };
  return (
    <>
      <Form
        save="Ask"
        refusal={null}
        isRunning={isRunning}
        onSave={ask}
        actions={
          isRunning && (
            <button type="button" className="button" onClick={stop}>
              Stop
            </button>
          )
        }
      >
        <TextField label="Message" path="content" value={content} onChange={setContent} />
      </Form>
      {turn && (
        <div className="result" role="log" aria-label="Answer" aria-busy={isRunning}>
          {turn.toolCalls.map((call) => (
            <ToolCall
              key={call.id}
              call={call}
              decide={call.needsApproval ? (allows, args) => approve(call.id, allows, args) : undefined}
            />
          ))}
          {turn.messages.map((message) => (
            <Markdown key={message.id} text={message.text} />
          ))}
          {turn.error && (
            <p className="problem" role="alert">
              {turn.error.message}
            </p>
          )}
        </div>
      )}
    </>
  );
}
