import type { Logger } from 'pino';
import type { Viewer } from '../../auth/viewer.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { AddressRefusedError } from '../../outbound/guard.ts';
import { callerHeaders, callerOf } from '../contract/caller.ts';
import { listSecretValues } from '../contract/redact.ts';
import { refuseRoles, type Tool, type ToolContext } from '../contract/tool.ts';
import { invalidArguments, lazyCheck, readArguments } from '../parameters/parameters.ts';
import { hashHttpTool } from '../registry/definition-hash.ts';
import { readAnswer } from './answer.ts';
import { fillTemplate, parseTemplate, type UrlTemplate, writeScalar } from './url-template.ts';

/** An HTTP tool as it is kept: a tenant's row with its secrets opened, or an entry of the operator's file. */
export interface HttpToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly parameters: Record<string, unknown>;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A URL in which {name} stands for an argument. */
  readonly url: string;
  /** All headers, secret ones too. Null: its secrets cannot be read, and it is not called. */
  readonly headers: Readonly<Record<string, string>> | null;
  /** Which headers are secret: their values are shown to nobody. Unset: it is not known, and all may be. */
  readonly secretNames?: readonly string[];
  readonly timeoutMs: number;
  readonly maxResultLength: number;
  readonly requiresApproval: boolean;
  readonly requiredRoles: readonly string[];
}

/** How HTTP tools are reached. */
export interface HttpToolNetwork {
  readonly logger: Logger;
  /** For requests that may be sent again over another connection: it keeps its connections. */
  readonly fetchGuarded: typeof fetch;
  /** For requests that must not be sent twice. */
  readonly fetchOnce: typeof fetch;
}

/** Makes the tool that a definition describes. */
export function createHttpTool(definition: HttpToolDefinition, reach: HttpToolNetwork): Tool {
  const { name, description, parameters, timeoutMs, maxResultLength, requiresApproval, requiredRoles } = definition;
  const template = parseTemplate(definition.url);
  const check = lazyCheck(parameters, (why) => reach.logger.warn({ tool: name, why }, 'a schema is not enforced'));
  const prepare = (args: unknown, viewer: Viewer): Request | string => {
    const refusal = refuseRoles(viewer, requiredRoles);
    if (refusal !== null) return refusal;
    if (typeof template === 'string' || definition.headers === null) {
      return 'The tool is not set up rightly: an administrator has to look at it.';
    }
    const given = readArguments(args);
    if (given === null) return invalidArguments;
    return check(given) ?? buildRequest(definition, definition.headers, template, given);
  };
  return {
    name,
    description,
    parameters,
    requiresApproval,
    requiredRoles,
    source: 'HTTP',
    timeoutMs,
    maxResultLength,
    hashDefinition: () => hashHttpTool(definition),
    check(args, viewer) {
      const request = prepare(args, viewer);
      return typeof request === 'string' ? request : null;
    },
    async call(args, context) {
      const request = prepare(args, context.viewer);
      if (typeof request === 'string') return { ok: false, error: request };
      return send(definition, request, context, reach);
    },
  };
}

interface Request {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** The request that a call makes, or an error for the model. What the URL does not take goes into query or body. */
function buildRequest(
  { method }: HttpToolDefinition,
  headers: Readonly<Record<string, string>>,
  template: UrlTemplate,
  args: Readonly<Record<string, unknown>>,
): Request | string {
  const rest = Object.entries(args).filter(([name]) => !template.names.has(name));
  if (method !== 'GET' && method !== 'DELETE') {
    const url = fillTemplate(template, args, []);
    if (typeof url === 'string') return url;
    return {
      url,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(Object.fromEntries(rest)),
    };
  }
  const taken = rest.find(([name]) => template.taken.has(name));
  if (taken) return `The argument ${taken[0].slice(0, 100)} is fixed by the tool.`;
  const query = rest.flatMap(([name, value]) => writeQuery(name, value));
  const url = fillTemplate(template, args, query);
  return typeof url === 'string' ? url : { url, headers, body: null };
}

/** An argument as query parameters: a list as one for each item, an object as JSON, null as none. */
function writeQuery(name: string, value: unknown): [name: string, value: string][] {
  if (value === null) return [];
  const values = Array.isArray(value) ? value : [value];
  return values.map((item) => [name, writeScalar(item) ?? JSON.stringify(item)]);
}

async function send(
  { name, method, maxResultLength, headers: own, secretNames }: HttpToolDefinition,
  { url, headers, body }: Request,
  context: ToolContext,
  reach: HttpToolNetwork,
): Promise<ToolOutcome> {
  const caller = callerOf(context);
  const dial = method === 'GET' ? reach.fetchGuarded : reach.fetchOnce;
  try {
    const response = await dial(url, {
      method,
      headers: {
        accept: 'application/json, text/*;q=0.9',
        ...headers,
        // What is small when it is packed may be of any size.
        'accept-encoding': 'identity',
        ...callerHeaders(caller),
      },
      ...(body === null ? {} : { body }),
      signal: context.signal,
    });
    const secrets = listSecretValues({ headers: own ?? {}, secretNames });
    return await readAnswer(response, maxResultLength, secrets);
  } catch (error) {
    if (context.signal.aborted) throw error;
    const refused = error instanceof AddressRefusedError;
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    reach.logger.warn(
      { tool: name, tenantId: caller.tenant, problem: refused ? 'ADDRESS_NOT_ALLOWED' : (code ?? 'FAILED') },
      'an HTTP tool could not be reached',
    );
    return { ok: false, error: refused ? 'The address of the tool is not allowed.' : 'The tool could not be reached.' };
  }
}
