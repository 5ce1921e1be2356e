import type { ModelEndpoint } from '../../engine/ports.ts';
import { putModelInPath } from './azure.ts';
import { trimBase } from './base-url.ts';

/**
 * The path of a request under the base URL of an endpoint.
 * @returns null: the name of the model cannot stand in it
 */
export function requestPath({ api, path, model }: ModelEndpoint): string | null {
  return putModelInPath(path ?? (api === 'RESPONSES' ? '/responses' : '/chat/completions'), model);
}

/** The URL that an endpoint is requested at first, without its query. */
export function requestUrl(endpoint: ModelEndpoint): string {
  return trimBase(endpoint.apiUrl) + (requestPath(endpoint) ?? '');
}
