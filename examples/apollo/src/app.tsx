import { useMutation, useQuery, useSubscription } from '@apollo/client/react';
import { useState } from 'react';
import { ChangesDocument, ConversationsDocument, NewConversationDocument } from './generated/graphql.ts';
import { Thread } from './thread.tsx';

/** The conversations, and the one that is open. */
export function App() {
  const [openId, open] = useState<string | null>(null);
  const { data, error, refetch } = useQuery(ConversationsDocument);
  const [create] = useMutation(NewConversationDocument);
  const [after, setAfter] = useState<number | null>(null);
  if (after === null && data) setAfter(data.viewer.lastEventSeq);
  useSubscription(ChangesDocument, { variables: { after: after ?? 0 }, skip: after === null });

  const begin = async () => {
    const { data: created } = await create();
    await refetch();
    if (created) open(created.createConversation.id);
  };
  return (
    <div className="desk">
      <nav aria-label="Conversations">
        <button type="button" onClick={begin}>
          New conversation
        </button>
        {error && <p role="alert">{error.message}</p>}
        <ul>
          {data?.conversations.edges.map(({ node }) => (
            <li key={node.id}>
              <button type="button" aria-current={node.id === openId} onClick={() => open(node.id)}>
                {node.title}
              </button>
            </li>
          ))}
        </ul>
      </nav>
      <main>
        {openId === null ? <p>Open a conversation, or begin a new one.</p> : <Thread key={openId} id={openId} />}
      </main>
    </div>
  );
}
