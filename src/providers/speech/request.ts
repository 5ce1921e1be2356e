import type { SpeechEndpoint, TranscriptionEndpoint } from '../llm/endpoints.ts';

type AnyEndpoint = SpeechEndpoint | TranscriptionEndpoint;

/** The URL of a request. @param usual the path under the base URL, where the endpoint has no other */
export function addressOf({ apiUrl, path, query }: AnyEndpoint, usual: string): string {
  const url = new URL(apiUrl);
  // Joined as text, so that a path stays under its host whatever it looks like.
  const [under = '', search = ''] = (path ?? usual).split('?', 2);
  const tail = under.replace(/^\/+/, '');
  if (tail !== '') url.pathname = `${url.pathname.replace(/\/+$/, '')}/${tail}`;
  for (const [name, value] of new URLSearchParams(search)) url.searchParams.append(name, value);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.href;
}

/** The header that carries the key, if there is one. */
export function keyHeaders({ apiKey, keyStyle }: AnyEndpoint): Record<string, string> {
  if (apiKey === '') return {};
  return keyStyle === 'bearer' ? { authorization: `Bearer ${apiKey}` } : { 'api-key': apiKey };
}
