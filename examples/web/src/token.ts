// How this page comes to its token: the server puts one into the page for a browser on its own machine, in development.
// Anywhere else the person pastes one, which this tab remembers. An application of yours asks its own sign-in here.

const stored = 'switchboard:token';
let current = readPage(document) ?? sessionStorage.getItem(stored);

/** The token that the next request and the next socket carry. Null: the person is asked for one. */
export const getToken = (): string | null => current;

/** Remembers a token that the person has pasted, until the tab is closed. */
export function saveToken(token: string): void {
  sessionStorage.setItem(stored, token);
  current = token;
}

/** Asks for a new token when the old one has expired. */
export async function refreshToken(): Promise<string | null> {
  const page = await fetch('/').then(
    (response) => response.text(),
    () => '',
  );
  const found = readPage(new DOMParser().parseFromString(page, 'text/html'));
  if (found !== null) current = found;
  return current;
}

function readPage(page: Document): string | null {
  return page.querySelector('meta[name="switchboard-token"]')?.getAttribute('content') || null;
}
