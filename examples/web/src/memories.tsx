import { useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { DeleteMemoryDocument, MemoriesDocument } from './generated/graphql.ts';
import { Icon } from './icons.tsx';

/** What agents remember of the person, and how to have it forgotten. */
export function Memories() {
  const [{ data }, read] = useQuery({ query: MemoriesDocument, requestPolicy: 'cache-and-network' });
  const [, remove] = useMutation(DeleteMemoryDocument);
  const [problem, setProblem] = useState<string | null>(null);
  const forget = async (id: string) => {
    const { error } = await remove({ id });
    setProblem(error ? error.message.replace('[GraphQL] ', '') : null);
    read({ requestPolicy: 'network-only' });
  };
  const memories = data?.memories.edges ?? [];
  return (
    <section aria-labelledby="memories-title">
      <h3 id="memories-title">What agents remember of you</h3>
      {data && memories.length === 0 && <p className="muted">Nothing.</p>}
      <ul className="memories">
        {memories.map(({ node: { id, text } }) => (
          <li key={id}>
            <span dir="auto">{text}</span>
            <button type="button" className="icon-button" aria-label={`Forget: ${text}`} onClick={() => forget(id)}>
              <Icon name="trash" />
            </button>
          </li>
        ))}
      </ul>
      {data && data.memories.totalCount > memories.length && (
        <p className="muted">
          The newest {memories.length} of {data.memories.totalCount}.
        </p>
      )}
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
