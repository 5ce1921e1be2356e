import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import { traceHeaders } from '../../telemetry/scope.ts';
import { callerMeta, callerOf } from '../contract/caller.ts';
import { hideInOutcome } from '../contract/redact.ts';
import type { Tool } from '../contract/tool.ts';
import { toolOf } from '../contract/tool-of.ts';
import { listServerSecrets, type McpDefinition } from './config.ts';
import { hashMcpTool } from './hash.ts';
import type { ListedTool } from './list.ts';
import type { McpPool } from './pool.ts';

const maxNameLength = 64;
const maxErrorLength = 2_000;

/** What the tools of MCP servers are called through. */
interface McpConnections {
  readonly pool: McpPool;
  readonly logger: Logger;
  readonly guard: Pick<AddressGuard, 'isListed'>;
}

/**
 * The tools of an MCP server under the names that models call them by.
 * @param taken names that other tools have already; the names of these tools are added
 */
export function createMcpTools(
  definition: McpDefinition,
  listed: readonly ListedTool[],
  taken: Set<string>,
  connections: McpConnections,
): Tool[] {
  return listed.flatMap((tool) => {
    const name = nameTool(definition.name, tool.name, taken);
    if (taken.has(name)) return [];
    taken.add(name);
    return [createMcpTool(name, definition, tool, connections)];
  });
}

/**
 * `<server>_<tool>`, with an underscore for each character that providers do not allow in a name. A name that was changed,
 * is too long, is taken, or looks like that of a handoff ends in a part of its hash, and no other name does: it belongs to
 * one tool, whatever else the server lists now or later.
 */
export function nameTool(server: string, tool: string, taken: ReadonlySet<string>): string {
  const wanted = `${server}_${tool}`;
  const name = wanted.replace(/[^A-Za-z0-9_-]/g, '_').replace(/^transfer_to_/, 'transfer__to_');
  if (name === wanted && name.length <= maxNameLength && !taken.has(name) && !/_[0-9a-f]{8}$/.test(name)) return name;
  const hash = createHash('sha256').update(`${server}\0${tool}`).digest('hex').slice(0, 8);
  return `${name.slice(0, maxNameLength - hash.length - 1)}_${hash}`;
}

function createMcpTool(name: string, definition: McpDefinition, tool: ListedTool, connections: McpConnections): Tool {
  const { description, isIdempotent, problem, inputSchema: parameters } = tool;
  const { timeoutMs, maxResultLength, requiresApproval, requiredRoles } = definition;
  return toolOf<Readonly<Record<string, unknown>>>(
    {
      ...{ name, description, parameters, timeoutMs, maxResultLength, requiresApproval, isIdempotent, requiredRoles },
      source: 'MCP',
      problem,
    },
    {
      hashDefinition: () => hashMcpTool(definition, tool),
      prepare: (request) => ({ request }),
      send: async (args, context) => {
        const options = { viewer: context.viewer, signal: context.signal, timeoutMs, maxResultLength };
        const link = connections.pool.linkTo(definition);
        const meta = {
          ...callerMeta(callerOf(context)),
          ...(sharesTrace(definition, connections.guard) ? traceMeta() : {}),
        };
        const call = { name: tool.name, arguments: args, meta };
        const outcome = await link.call(call, options);
        const clean = hideInOutcome(outcome, listServerSecrets(definition));
        return clean.ok ? clean : { ok: false, error: clean.error.slice(0, maxErrorLength).toWellFormed() };
      },
    },
    connections.logger,
  );
}

/** As for HTTP tools: the operator's own servers may know to which trace a call belongs, and those that are listed. */
function sharesTrace({ tenantId, address }: McpDefinition, guard: McpConnections['guard']): boolean {
  return tenantId === null || (address.kind === 'http' && guard.isListed(address.url));
}

/** The trace in the `_meta` of a call, where MCP has it without a prefix; the id of the request is ours. */
function traceMeta(): Record<string, unknown> {
  const { traceparent, 'x-request-id': requestId } = traceHeaders();
  return {
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(requestId === undefined ? {} : { 'switchboard/request': requestId }),
  };
}
