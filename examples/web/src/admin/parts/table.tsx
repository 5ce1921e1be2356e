import { type ReactNode, useEffect, useState } from 'react';
import { type AnyVariables, type DocumentInput, useQuery } from 'urql';
import { Problem } from './states.tsx';

interface TableProps {
  /** What is listed: said by screen readers. */
  readonly caption: string;
  readonly columns: readonly string[];
  /** Those of the columns that hold numbers: their headings stand above the last digits. */
  readonly numbers?: readonly string[];
  /** `<tbody>` elements. */
  readonly children: ReactNode;
}

/** A table that scrolls within its frame where the page is too narrow for it. */
export function Table({ caption, columns, numbers = [], children }: TableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <section className="data-table" aria-label={caption} tabIndex={0}>
      <table>
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col" className={numbers.includes(column) ? 'number' : undefined}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        {children}
      </table>
    </section>
  );
}

/** A page of a list, as the schema has it. */
interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor?: string | null };
}

interface RowsProps<Data, Variables extends AnyVariables, Node> {
  readonly query: DocumentInput<Data, Variables>;
  /** Everything but `after`, which each page sets for itself. */
  readonly variables: Omit<Variables, 'after'>;
  /** The type of the nodes: the list is read again when one has changed, also if it was empty. */
  readonly type: string;
  readonly read: (data: Data) => Connection<Node> | null | undefined;
  /** A `<tr>` with a key. */
  readonly row: (node: Node) => ReactNode;
  /** What stands in place of the rows if there are none. */
  readonly empty: ReactNode;
  readonly after?: string | null;
  /** Grows when all of it is to be read again. */
  readonly version?: number;
}

/** The rows of a table: a page of a list and, when it is asked for, the one after it, which begins where this one ends. */
export function Rows<Data, Variables extends AnyVariables, Node>(props: RowsProps<Data, Variables, Node>) {
  const { query, variables, type, read, row, empty, after = null, version = 0 } = props;
  const [hasNext, setNext] = useState(false);
  const [context] = useState(() => ({ additionalTypenames: [type] }));
  const [{ data, error }, readAgain] = useQuery<Data, AnyVariables>({
    query,
    variables: { ...variables, after },
    context,
  });
  useEffect(() => {
    if (version > 0) readAgain({ requestPolicy: 'network-only' });
  }, [version, readAgain]);
  const page = data === undefined ? null : read(data);
  const { hasNextPage = false, endCursor = null } = page?.pageInfo ?? {};
  const message = error ? <Problem error={error} /> : page?.edges.length === 0 && after === null ? empty : null;
  return (
    <>
      <tbody>
        {page?.edges.map(({ node }) => row(node))}
        {message && <Wide>{message}</Wide>}
        {!page && !error && <Wide>One moment…</Wide>}
        {hasNextPage && !hasNext && (
          <Wide>
            <button type="button" className="button" onClick={() => setNext(true)}>
              Show more
            </button>
          </Wide>
        )}
      </tbody>
      {hasNext && endCursor && <Rows {...props} after={endCursor} />}
    </>
  );
}

/** A row of one cell. */
function Wide({ children }: { readonly children: ReactNode }) {
  return (
    <tr>
      <td className="wide-cell muted" colSpan={20}>
        {children}
      </td>
    </tr>
  );
}
