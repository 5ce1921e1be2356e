import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { Chat } from './chat.tsx';
import { useConnection } from './connection.ts';
import { SessionDocument } from './generated/graphql.ts';
import { NewChat } from './new-chat.tsx';
import { openConversation, useConversationId } from './route.ts';
import { SharedPage } from './shared-page.tsx';
import { Sidebar } from './sidebar.tsx';
import { SignIn } from './sign-in.tsx';
import { getToken } from './token.ts';

const sharedToken = /^\/shared\/([\w-]+)$/.exec(location.pathname)?.[1];

/** A file of its own: whoever chats does not load it. */
const Admin = lazy(() => import('./admin/admin.tsx'));

/** The page: a conversation that was shared, a form for a token, the admin pages, or the chat. */
export function App() {
  if (sharedToken !== undefined) return <SharedPage token={sharedToken} />;
  if (getToken() === null) return <SignIn />;
  if (!/^\/admin(\/|$)/.test(location.pathname)) return <Desk />;
  return (
    <Suspense>
      <Admin />
    </Suspense>
  );
}

function Desk() {
  const conversationId = useConversationId();
  const isConnected = useConnection();
  const [isMenuOpen, setMenuOpen] = useState(false);
  const [{ data, error }] = useQuery({ query: SessionDocument });
  const menuButton = useRef<HTMLButtonElement>(null);
  const open = useCallback((id: string | null) => {
    setMenuOpen(false);
    openConversation(id);
  }, []);
  useEffect(() => {
    if (!isMenuOpen) return;
    const close = ({ key }: KeyboardEvent) => {
      if (key !== 'Escape') return;
      setMenuOpen(false);
      menuButton.current?.focus();
    };
    window.addEventListener('keydown', close);
    return () => window.removeEventListener('keydown', close);
  }, [isMenuOpen]);

  if (error?.response?.status === 401) return <SignIn />;
  const choices = {
    agents: (data?.agents.edges ?? []).map(({ node }) => node).filter(({ isActive }) => isActive),
    scenarios: (data?.scenarios.edges ?? []).map(({ node }) => node).filter(({ isActive }) => isActive),
  };
  const menu = { button: menuButton, isOpen: isMenuOpen, open: () => setMenuOpen(true) };
  return (
    <div className="desk" data-menu={isMenuOpen ? 'open' : 'closed'}>
      <button type="button" className="skip button" onClick={focusComposer}>
        Skip to the message
      </button>
      <Sidebar
        conversationId={conversationId}
        lastEventSeq={data?.viewer.lastEventSeq ?? null}
        isAdmin={data?.viewer.roles.includes('admin') ?? false}
        open={open}
        isOpen={isMenuOpen}
      />
      {isMenuOpen && <div className="backdrop" aria-hidden="true" onClick={() => setMenuOpen(false)} />}
      <main className="main">
        {!isConnected && (
          <p className="offline" role="status">
            Offline. The page goes on by itself when the server answers again.
          </p>
        )}
        {error && !data && (
          <p className="problem" role="alert">
            The server cannot be reached: {error.message}
          </p>
        )}
        {conversationId === null ? (
          <NewChat choices={choices} menu={menu} />
        ) : (
          <Chat key={conversationId} conversationId={conversationId} choices={choices} menu={menu} />
        )}
      </main>
    </div>
  );
}

function focusComposer(): void {
  document.getElementById('composer')?.focus();
}
