import { useEffect, useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  BaseRowFragmentDoc,
  DeleteBaseDocument,
  DeleteDocumentDocument,
  DocumentChangesDocument,
  type DocumentRowFragment,
  DocumentRowFragmentDoc,
  KnowledgeBaseDocument,
  type KnowledgeDocumentStatus,
} from '../generated/graphql.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { Search } from './search.tsx';
import { Upload } from './upload.tsx';

const back = { to: ['knowledge'], title: 'Knowledge' };

/** One base: its documents as they are indexed, a form for a new one, and a search. */
export function Base({ id }: { readonly id: string }) {
  const [{ data, error }] = useDocuments(id);
  const remove = useChange(DeleteBaseDocument, ['KnowledgeBase']);
  const base = readFragment(BaseRowFragmentDoc, data?.knowledgeBase);
  if (!base) {
    return (
      <Page title="Knowledge base" back={back}>
        {error && <Problem error={error} />}
        {data ? <p className="muted">This base does not exist any more.</p> : !error && <Loading />}
      </Page>
    );
  }
  const removeBase = async () => {
    if (await remove.run({ id })) openAdmin('knowledge');
  };
  return (
    <Page
      title={base.name}
      back={back}
      actions={
        <ConfirmButton
          label="Delete the base"
          question={`Delete ${base.name} with all of its documents?`}
          act={removeBase}
        />
      }
    >
      {remove.refusal && (
        <p className="problem" role="alert">
          {remove.refusal.message}
        </p>
      )}
      {base.description && <p dir="auto">{base.description}</p>}
      <Section title="Documents">
        <Table
          caption="Documents"
          columns={['Title', 'State', 'Passages', 'Type', 'Size', 'Actions']}
          numbers={['Passages', 'Size']}
        >
          <Rows
            query={KnowledgeBaseDocument}
            variables={{ id }}
            type="KnowledgeDocument"
            empty="There is no document yet. Add one below, and agents find its passages."
            read={({ knowledgeBase }) => {
              if (!knowledgeBase) return null;
              const { edges, pageInfo } = knowledgeBase.documents;
              // The newest first: the page after this one is the one before it in the list.
              const next = { hasNextPage: pageInfo.hasPreviousPage, endCursor: pageInfo.startCursor };
              return { edges: edges.toReversed(), pageInfo: next };
            }}
            row={(node) => {
              const document = readFragment(DocumentRowFragmentDoc, node);
              return <DocumentRow key={document.id} document={document} />;
            }}
          />
        </Table>
      </Section>
      <Section title="New document">
        <Upload base={id} />
      </Section>
      <Section title="Search this base">
        <Search bases={[id]} />
      </Section>
    </Page>
  );
}

/** The newest documents, read again whenever one of the base has changed. */
function useDocuments(id: string) {
  const [context] = useState({ additionalTypenames: ['KnowledgeDocument'] });
  const result = useQuery({ query: KnowledgeBaseDocument, variables: { id, after: null }, context });
  const [{ data }, read] = result;
  useSubscription({ query: DocumentChangesDocument, variables: { base: id }, context });

  // What happens while the subscription opens is not told: until all are indexed, the page also asks now and then.
  const isIndexing = data?.knowledgeBase?.documents.edges.some(({ node }) =>
    ['QUEUED', 'INDEXING'].includes(node.status),
  );
  useEffect(() => {
    if (!isIndexing) return;
    const timer = setInterval(() => read({ requestPolicy: 'network-only' }), 5_000);
    return () => clearInterval(timer);
  }, [isIndexing, read]);
  return result;
}

const states = {
  QUEUED: ['plain', 'waiting'],
  INDEXING: ['warn', 'indexing'],
  READY: ['good', 'ready'],
  FAILED: ['bad', 'failed'],
} as const satisfies Record<KnowledgeDocumentStatus, unknown>;

function DocumentRow({ document }: { readonly document: DocumentRowFragment }) {
  const { run, refusal } = useChange(DeleteDocumentDocument, ['KnowledgeDocument']);
  const { id, title, status, progress, error } = document;
  const [tone, word] = states[status];
  return (
    <tr>
      <td dir="auto">{title}</td>
      <td>
        <Badge tone={tone}>{word}</Badge>
        {status === 'INDEXING' && <progress value={progress} aria-label={`Indexing of ${title}`} />}
        {error && <p className="hint">{error}</p>}
      </td>
      <td className="number">{document.chunkCount.toLocaleString()}</td>
      <td>{document.mediaType}</td>
      <td className="number">{formatSize(document.size)}</td>
      <td>
        <ConfirmButton label="Delete" question={`Delete ${title}?`} act={() => run({ id })} />
        {refusal && <p className="field-problem">{refusal.message}</p>}
      </td>
    </tr>
  );
}

function formatSize(bytes: number): string {
  return bytes < 1_000 ? `${bytes} B` : `${(bytes / 1_000).toLocaleString(undefined, { maximumFractionDigits: 1 })} kB`;
}
