import { lazy, Suspense, useCallback, useEffect } from 'react';
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
import { useDrawer } from './use-drawer.ts';
import { warmUp } from './warm-up.ts';

const sharedToken = /^\/shared\/([\w-]+)$/.exec(location.pathname)?.[1];

/** A file of its own: whoever chats does not load it. */
const Admin = lazy(() => import('./admin/admin.tsx'));
const Voice = lazy(() => import('./voice/voice-page.tsx'));

/** The page: a conversation that was shared, a form for a token, calls by voice, the admin pages, or the chat. */
export function App() {
  if (sharedToken !== undefined) return <SharedPage token={sharedToken} />;
  if (getToken() === null) return <SignIn />;
  if (location.pathname === '/voice') {
    return (
      <Suspense>
        <Voice />
      </Suspense>
    );
  }
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
  const [{ data, error }] = useQuery({ query: SessionDocument });
  const drawer = useDrawer();
  useEffect(() => warmUp(), []);
  const { isOpen: isMenuOpen, close } = drawer;
  const open = useCallback(
    (id: string | null) => {
      close();
      openConversation(id);
    },
    [close],
  );
  if (error?.response?.status === 401) return <SignIn />;
  const choices = {
    agents: (data?.agents.edges ?? []).map(({ node }) => node).filter(({ isActive }) => isActive),
    scenarios: (data?.scenarios.edges ?? []).map(({ node }) => node).filter(({ isActive }) => isActive),
  };
  return (
    <div className="desk" data-menu={isMenuOpen ? 'open' : 'closed'}>
      <button type="button" className="skip button" inert={isMenuOpen} onClick={focusComposer}>
        Skip to the message
      </button>
      <Sidebar
        conversationId={conversationId}
        lastEventSeq={data?.viewer.lastEventSeq ?? null}
        isAdmin={data?.viewer.roles.includes('admin') ?? false}
        open={open}
        isOpen={isMenuOpen}
        close={close}
      />
      {isMenuOpen && <div className="backdrop" aria-hidden="true" onClick={close} />}
      <main className="main" inert={isMenuOpen}>
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
          <NewChat choices={choices} menu={drawer} />
        ) : (
          <Chat key={conversationId} conversationId={conversationId} choices={choices} menu={drawer} />
        )}
      </main>
    </div>
  );
}

function focusComposer(): void {
  document.getElementById('composer')?.focus();
}
