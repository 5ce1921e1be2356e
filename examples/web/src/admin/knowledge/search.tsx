import { useState } from 'react';
import { useQuery } from 'urql';
import { KnowledgeSearchDocument } from '../generated/graphql.ts';
import { Loading, Problem } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';

/** What a search finds, with its scores: in these bases or, with null, in all of them. */
export function Search({ bases }: { readonly bases: string[] | null }) {
  const [words, setWords] = useState('');
  const [query, setQuery] = useState('');
  const [{ data, error, fetching }] = useQuery({
    query: KnowledgeSearchDocument,
    variables: { query, bases },
    pause: query === '',
    // Documents change on the way: each search asks again.
    requestPolicy: 'network-only',
  });
  const submit = (event: React.FormEvent) => {
    event.preventDefault();
    setQuery(words.trim());
  };
  return (
    <>
      <form className="bar" onSubmit={submit}>
        <label className="field">
          Words or a question
          <input type="search" dir="auto" value={words} onChange={({ target }) => setWords(target.value)} />
        </label>
        <button type="submit" className="button">
          Search
        </button>
      </form>
      {error && <Problem error={error} />}
      {fetching && <Loading />}
      {query !== '' && data && !fetching && (
        <Table caption="Passages that were found" columns={['Score', 'Document', 'Passage']} numbers={['Score']}>
          <tbody>
            {data.searchKnowledge.map((hit) => (
              <tr key={`${hit.documentId} ${hit.position}`}>
                <td className="number">{hit.score.toFixed(4)}</td>
                <td dir="auto">
                  {hit.title}
                  <span className="hint"> passage {hit.position}</span>
                </td>
                <td dir="auto">{hit.quote}</td>
              </tr>
            ))}
            {data.searchKnowledge.length === 0 && (
              <tr>
                <td colSpan={3} className="muted">
                  Nothing was found. Try other words, or see whether the documents are indexed.
                </td>
              </tr>
            )}
          </tbody>
        </Table>
      )}
    </>
  );
}
