import { hashDefinition } from '../contract/definition-hash.ts';
import type { HttpToolDefinition } from './definition.ts';

/**
 * The hash of an HTTP tool: the address of its requests, what they are made of, and the headers that are not secret. Of
 * the secret ones it holds the names.
 */
export function hashHttpTool({ name, method, url, parameters, headers, secretNames }: HttpToolDefinition): string {
  const secret = secretNames && new Set(secretNames.map((header) => header.toLowerCase()));
  const sent = Object.entries(headers ?? {}).map(([header, value]) => {
    const key = header.toLowerCase();
    return [key, secret === undefined || secret.has(key) ? null : value] as const;
  });
  return hashDefinition({ source: 'HTTP', name, method, url, parameters, headers: Object.fromEntries(sent) });
}
