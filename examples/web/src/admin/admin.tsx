import { useEffect, useRef } from 'react';
import { Provider, useQuery } from 'urql';
import { SignIn } from '../sign-in.tsx';
import { adminClient } from './client.ts';
import { AdminViewerDocument } from './generated/graphql.ts';
import { pages } from './pages.ts';
import { AdminLink } from './parts/link.tsx';
import { Page } from './parts/page.tsx';
import { Loading, Problem } from './parts/states.tsx';
import { useAdminPath } from './route.ts';
import './admin.css';

/** The admin pages, at `/admin` and below. */
export default function Admin() {
  return (
    <Provider value={adminClient}>
      <Frame />
    </Provider>
  );
}

/** The navigation beside the page that the address names. The server decides what a viewer may do; this only hides what would be refused. */
function Frame() {
  const [{ data, error }] = useQuery({ query: AdminViewerDocument });
  const [name = pages[0]?.name, ...rest] = useAdminPath();
  const page = pages.find((one) => one.name === name);
  const title = page?.title ?? 'Admin';
  useEffect(() => {
    document.title = `${title} – Switchboard`;
  }, [title]);
  const nav = useRef<HTMLElement>(null);
  const isAdmin = data?.viewer.roles.includes('admin') ?? false;
  useEffect(() => {
    // On a narrow screen the pages stand in a row that is wider than it.
    if (isAdmin && page)
      nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [isAdmin, page]);

  if (error?.response?.status === 401) return <SignIn />;
  return (
    <div className="admin">
      <a className="skip button" href="#page">
        Skip to the page
      </a>
      <nav className="admin-nav" aria-label="Admin" ref={nav}>
        <p className="brand">
          <img src="/favicon.svg" alt="" width="24" height="24" />
          Switchboard
        </p>
        <ul>
          {isAdmin &&
            pages.map((one) => (
              <li key={one.name}>
                <AdminLink to={[one.name]} aria-current={one === page ? 'page' : undefined}>
                  {one.title}
                </AdminLink>
              </li>
            ))}
          <li>
            <a href="/">Back to the chat</a>
          </li>
        </ul>
      </nav>
      <main className="admin-main" id="page" tabIndex={-1}>
        {error && <Problem error={error} />}
        {!data && !error && <Loading />}
        {data && !isAdmin && (
          <Page title="Admins only">
            <p>
              You are {data.viewer.userId} of {data.viewer.tenantId}. These pages need a token with the role{' '}
              <code>admin</code>.
            </p>
          </Page>
        )}
        {isAdmin && (page ? <page.Page key={rest.join('/')} path={rest} /> : <NoPage />)}
      </main>
    </div>
  );
}

function NoPage() {
  return (
    <Page title="No such page">
      <p className="muted">Nothing has this address.</p>
    </Page>
  );
}
