import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Viewer } from '../../auth/viewer.ts';
import { callerMeta, callerOf } from '../contract/caller.ts';
import { hideInOutcome } from '../contract/redact.ts';
import { refuseRoles, type Tool } from '../contract/tool.ts';
import { invalidArguments, lazyCheck, readArguments } from '../parameters/parameters.ts';
import { hashMcpTool } from '../registry/definition-hash.ts';
import { listServerSecrets, type McpDefinition } from './config.ts';
import type { ListedTool } from './list.ts';
import type { McpPool } from './pool.ts';

const maxNameLength = 64;
const maxErrorLength = 2_000;

/**
 * The tools of an MCP server under the names that models call them by.
 * @param taken names that are others' already; those of these tools are added
 */
export function createMcpTools(
  definition: McpDefinition,
  listed: readonly ListedTool[],
  taken: Set<string>,
  reach: { readonly pool: McpPool; readonly logger: Logger },
): Tool[] {
  return listed.flatMap((tool) => {
    const name = nameTool(definition.name, tool.name, taken);
    if (taken.has(name)) return [];
    taken.add(name);
    return [createMcpTool(name, definition, tool, reach)];
  });
}

/**
 * `<server>_<tool>`, with what providers do not allow in a name as underscores. One that is changed so, too long, taken,
 * or like that of a handoff, ends in a part of its hash, and no other does: it is one tool's, whatever else the server
 * has or comes to have.
 */
export function nameTool(server: string, tool: string, taken: ReadonlySet<string>): string {
  const wanted = `${server}_${tool}`;
  const name = wanted.replace(/[^A-Za-z0-9_-]/g, '_').replace(/^transfer_to_/, 'transfer__to_');
  if (name === wanted && name.length <= maxNameLength && !taken.has(name) && !/_[0-9a-f]{8}$/.test(name)) return name;
  const hash = createHash('sha256').update(`${server}\0${tool}`).digest('hex').slice(0, 8);
  return `${name.slice(0, maxNameLength - hash.length - 1)}_${hash}`;
}

function createMcpTool(
  name: string,
  definition: McpDefinition,
  tool: ListedTool,
  { pool, logger }: { readonly pool: McpPool; readonly logger: Logger },
): Tool {
  const { name: ownName, description, inputSchema: parameters } = tool;
  const { timeoutMs, maxResultLength, requiresApproval, requiredRoles } = definition;
  const check = lazyCheck(parameters, (why) => logger.warn({ tool: name, why }, 'a schema is not enforced'));
  const prepare = (args: unknown, viewer: Viewer): Readonly<Record<string, unknown>> | string => {
    const refusal = refuseRoles(viewer, requiredRoles);
    if (refusal !== null) return refusal;
    const given = readArguments(args);
    if (given === null) return invalidArguments;
    return check(given) ?? given;
  };
  return {
    name,
    description,
    parameters,
    requiresApproval,
    requiredRoles,
    source: 'MCP',
    timeoutMs,
    maxResultLength,
    hashDefinition: () => hashMcpTool(definition, tool),
    check(args, viewer) {
      const given = prepare(args, viewer);
      return typeof given === 'string' ? given : null;
    },
    async call(args, context) {
      const given = prepare(args, context.viewer);
      if (typeof given === 'string') return { ok: false, error: given };
      const how = { viewer: context.viewer, signal: context.signal, timeoutMs, maxResultLength };
      const meta = callerMeta(callerOf(context));
      const outcome = await pool.linkTo(definition).call(ownName, given, meta, how);
      const clean = hideInOutcome(outcome, listServerSecrets(definition));
      return clean.ok ? clean : { ok: false, error: clean.error.slice(0, maxErrorLength).toWellFormed() };
    },
  };
}
