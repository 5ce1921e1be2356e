import { getToken } from './token.ts';

/**
 * Saves a file of the server under a name: it is fetched with the token, which a link cannot carry.
 * @throws {Error} what the server says
 */
export async function download(path: string, name: string): Promise<void> {
  const response = await fetch(path, { headers: { authorization: `Bearer ${getToken() ?? ''}` } });
  if (!response.ok) throw new Error(`The file cannot be read: the server has answered with status ${response.status}.`);
  const url = URL.createObjectURL(await response.blob());
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  // The browser may begin to read it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
