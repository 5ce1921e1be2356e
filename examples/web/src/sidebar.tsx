import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { useClient, useQuery, useSubscription } from 'urql';
import { readFragment } from './generated/fragment-masking.ts';
import {
  ConversationItemFragmentDoc,
  ConversationListDocument,
  type ConversationListQueryVariables,
  MessageSearchDocument,
  ViewerChangesDocument,
} from './generated/graphql.ts';
import { Icon } from './icons.tsx';
import { useSettled } from './use-settled.ts';
import { whenIdle } from './when-idle.ts';

/** Loaded when it is asked for. */
const Settings = lazy(async () => ({ default: (await import('./settings.tsx')).Settings }));

interface SidebarProps {
  readonly conversationId: string | null;
  /** From where on changes of the list are followed; null: not known yet. */
  readonly lastEventSeq: number | null;
  readonly isAdmin: boolean;
  readonly open: (id: string | null) => void;
  readonly isOpen: boolean;
  /** Closes it, where it lies over the chat. */
  readonly close: () => void;
}

const pageSize = 30;

/** The conversations: those that are pinned, the newest, archived ones, and what a search finds. */
export function Sidebar({ conversationId, lastEventSeq, isAdmin, open, isOpen, close }: SidebarProps) {
  const [words, setWords] = useState('');
  const [isArchived, setArchived] = useState(false);
  const [hasSettings, setSettings] = useState(false);
  const search = useSettled(words.trim());
  const nav = useRef<HTMLElement>(null);
  const version = useListVersion(lastEventSeq);
  const shared = { selected: conversationId, open, version };
  useEffect(() => {
    if (isOpen) nav.current?.querySelector('button')?.focus();
  }, [isOpen]);
  return (
    <nav className="sidebar" aria-label="Conversations" ref={nav}>
      <div className="sidebar-top">
        <p className="brand">
          <img src="/favicon.svg" alt="" width="24" height="24" />
          Switchboard
          <button type="button" className="icon-button drawer-close" aria-label="Close the list" onClick={close}>
            <Icon name="close" />
          </button>
        </p>
        <button type="button" className="button primary wide" onClick={() => open(null)}>
          <Icon name="plus" />
          New chat
        </button>
        <label className="search">
          <Icon name="search" />
          <span className="hidden">Search</span>
          <input type="search" placeholder="Search" value={words} onChange={({ target }) => setWords(target.value)} />
        </label>
      </div>
      <div className="sidebar-list">
        {search === '' ? (
          <>
            {!isArchived && <ListPage {...shared} filter={{ isPinned: true }} title="Pinned" after={null} />}
            <ListPage
              {...shared}
              filter={{ isPinned: false, isArchived }}
              title={isArchived ? 'Archived' : 'Recent'}
              after={null}
            />
          </>
        ) : (
          <>
            <ListPage {...shared} filter={{ search }} title="Titles" after={null} />
            <MessageHits query={search} open={open} />
          </>
        )}
      </div>
      <button
        type="button"
        className="button quiet wide"
        aria-pressed={isArchived}
        onClick={() => setArchived((shown) => !shown)}
      >
        <Icon name="archive" />
        {isArchived ? 'Back to recent' : 'Archived'}
      </button>
      <a className="button quiet wide" href="/voice">
        <Icon name="microphone" />
        Voice
      </a>
      {isAdmin && (
        <a className="button quiet wide" href="/admin">
          <Icon name="shield" />
          Admin
        </a>
      )}
      <button type="button" className="button quiet wide" onClick={() => setSettings(true)}>
        <Icon name="settings" />
        Settings
      </button>
      {hasSettings && (
        <Suspense>
          <Settings close={() => setSettings(false)} />
        </Suspense>
      )}
    </nav>
  );
}

interface ListPageProps {
  readonly filter: Omit<ConversationListQueryVariables, 'first' | 'after'>;
  readonly title: string | null;
  readonly after: string | null;
  readonly selected: string | null;
  readonly open: (id: string) => void;
  /** Grows when the list has changed. */
  readonly version: number;
}

/** A page of the list and, when it is asked for, the one after it: that begins where this one ends, also after changes. */
function ListPage({ filter, title, after, ...shared }: ListPageProps) {
  const { selected, open, version } = shared;
  const [hasNext, setNext] = useState(false);
  const [{ data, error }, read] = useQuery({
    query: ConversationListDocument,
    variables: { ...filter, first: pageSize, after },
  });
  useEffect(() => {
    if (version > 0) read({ requestPolicy: 'network-only' });
  }, [version, read]);
  const page = data?.conversations;
  if (error) return <p className="problem">{error.message}</p>;
  if (!page || (page.edges.length === 0 && title === 'Pinned')) return null;
  const { hasNextPage, endCursor } = page.pageInfo;
  return (
    <>
      {title && <h2 className="group">{title}</h2>}
      <ul className="conversations">
        {page.edges.map(({ node }) => {
          const item = readFragment(ConversationItemFragmentDoc, node);
          return (
            <li key={item.id}>
              <button
                type="button"
                className="conversation"
                aria-current={item.id === selected ? 'page' : undefined}
                onClick={() => open(item.id)}
              >
                {item.isPinned && <Icon name="pin" />}
                <span className="conversation-title" dir="auto">
                  {item.title}
                </span>
                {item.activeRun && (
                  <span className="live" data-status={item.activeRun.status}>
                    <span className="hidden">
                      {item.activeRun.status === 'REQUIRES_ACTION' ? 'waits for you' : 'is answering'}
                    </span>
                  </span>
                )}
              </button>
            </li>
          );
        })}
        {page.edges.length === 0 && (
          <li className="muted empty">{title === 'Titles' ? 'No title has these words' : 'Nothing here yet'}</li>
        )}
      </ul>
      {hasNextPage &&
        (hasNext ? (
          <ListPage {...shared} filter={filter} title={null} after={endCursor ?? null} />
        ) : (
          <button type="button" className="button quiet wide" onClick={() => setNext(true)}>
            Show more
          </button>
        ))}
    </>
  );
}

/** Messages with the words of a search. */
function MessageHits({ query, open }: { readonly query: string; readonly open: (id: string) => void }) {
  const [{ data, error }] = useQuery({ query: MessageSearchDocument, variables: { query } });
  const hits = data?.searchMessages.edges ?? [];
  return (
    <>
      <h2 className="group">Messages</h2>
      <ul className="conversations">
        {hits.map(({ cursor, node: { snippet, message } }) => (
          <li key={cursor}>
            <button type="button" className="conversation hit" onClick={() => open(message.conversation.id)}>
              <span className="conversation-title" dir="auto">
                {message.conversation.title}
              </span>
              <span className="snippet" dir="auto">
                {snippet.split(/[\uE000\uE001]/).map((piece, index) =>
                  // biome-ignore lint/suspicious/noArrayIndexKey: a piece is its place
                  index % 2 === 1 ? <mark key={index}>{piece}</mark> : piece,
                )}
              </span>
            </button>
          </li>
        ))}
        {data && hits.length === 0 && <li className="muted empty">No message has these words</li>}
      </ul>
      {error && <p className="problem">{error.message.replace('[GraphQL] ', '')}</p>}
    </>
  );
}

/** Follows the changes of all conversations. What an item shows changes by its id; what moves items makes the list read again. */
function useListVersion(lastEventSeq: number | null): number {
  const client = useClient();
  const [version, setVersion] = useState(0);
  const [start, setStart] = useState<number | null>(null);
  if (start === null && lastEventSeq !== null) setStart(lastEventSeq);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const [{ data, error }] = useSubscription({
    query: ViewerChangesDocument,
    variables: { after: start },
    pause: start === null,
  });
  const event = data?.viewerEvents;
  useEffect(() => {
    if (!event || event.__typename === 'RunChanged') return;
    if (event.__typename === 'AgentSwitched') return;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      // Often a turn ends at this moment: its answer goes first.
      whenIdle(() => setVersion((known) => known + 1), 1_000);
    }, 300);
  }, [event]);
  useEffect(() => {
    if (!error || !client) return;
    setVersion((known) => known + 1);
  }, [error, client]);
  return version;
}
