import type { ModelEndpoint } from './ports.ts';

/** Names an endpoint and its model, so that what it sent can be given back to it and to no other. */
export function nameEndpoint({ api, apiUrl, model }: Pick<ModelEndpoint, 'api' | 'apiUrl' | 'model'>): string {
  return JSON.stringify([api, apiUrl, model]);
}
