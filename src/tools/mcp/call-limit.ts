import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';

/** Calls of one MCP server that may be in progress at once: of one user, of one tenant, and in all. */
const maxCalls = { user: 32, tenant: 128, process: 512 } as const;

/**
 * Bounds the calls of one MCP server.
 * @param shared whether the server is for every tenant. A tenant's own server has no other tenants to protect: the tenant
 *   may use all of it.
 */
export function createCallLimit(shared: boolean): ConcurrencyLimit {
  const tenant = shared ? maxCalls.tenant : null;
  return new ConcurrencyLimit('calls to the MCP server of the tool', { ...maxCalls, tenant });
}
