import type { SpeechEndpoint, TranscriptionEndpoint } from '../llm/endpoints.ts';

type AnyEndpoint = SpeechEndpoint | TranscriptionEndpoint;

/**
 * The URL of a request.
 * @param usual the path under the base URL, if the endpoint has no other
 */
export function addressOf(
  { apiUrl, path, query }: Pick<AnyEndpoint, 'apiUrl' | 'path' | 'query'>,
  usual: string,
): string {
  const url = new URL(apiUrl);
  // Joined as text, so that a path stays under its host whatever it looks like.
  const [under = '', search = ''] = (path ?? usual).split('?', 2);
  const tail = under.replace(/^\/+/, '');
  if (tail !== '') url.pathname = `${url.pathname.replace(/\/+$/, '')}/${tail}`;
  for (const [name, value] of new URLSearchParams(search)) url.searchParams.append(name, value);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.href;
}

/** The URL that speech is requested at. */
export function speechUrl(endpoint: SpeechEndpoint): string {
  return addressOf(endpoint, '/audio/speech');
}

/** The URL that transcriptions are requested at; that of a streaming provider has its scheme, which may be http. */
export function transcriptionUrl(endpoint: TranscriptionEndpoint): string {
  return addressOf(endpoint, endpoint.protocol === 'socket' ? '' : '/audio/transcriptions');
}

/** The header that carries the key, if there is one. */
export function keyHeaders({ apiKey, keyStyle }: Pick<AnyEndpoint, 'apiKey' | 'keyStyle'>): Record<string, string> {
  if (apiKey === '') return {};
  return keyStyle === 'bearer' ? { authorization: `Bearer ${apiKey}` } : { 'api-key': apiKey };
}
