import { useQuery } from 'urql';
import { SharedDocument } from './generated/graphql.ts';
import { Markdown } from './markdown.tsx';

/** A conversation that its owner has shared by a link: to be read by anyone who has it. */
export function SharedPage({ token }: { readonly token: string }) {
  const [{ data, fetching, error }] = useQuery({ query: SharedDocument, variables: { token } });
  const shared = data?.sharedConversation;
  return (
    <main className="shared">
      {shared ? (
        <>
          <header>
            <h1 dir="auto">{shared.title}</h1>
            <p className="muted">A shared conversation of {new Date(shared.createdAt).toLocaleDateString()}</p>
          </header>
          <ol className="messages">
            {shared.messages.edges.map(({ cursor, node }) => (
              <li key={cursor} className={`message ${node.role === 'USER' ? 'user' : 'assistant'}`}>
                {node.role === 'USER' ? (
                  <div className="bubble" dir="auto">
                    {node.content}
                  </div>
                ) : (
                  <Markdown text={node.content} />
                )}
              </li>
            ))}
          </ol>
        </>
      ) : (
        <p className="muted" role="status">
          {fetching ? 'One moment…' : (error?.message ?? 'This link leads nowhere: it was revoked, or has expired.')}
        </p>
      )}
    </main>
  );
}
