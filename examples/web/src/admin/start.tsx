import { Page } from './parts/page.tsx';

/** The first page. */
export function Start() {
  return (
    <Page title="Overview">
      <p className="muted">Choose what to look after.</p>
    </Page>
  );
}
