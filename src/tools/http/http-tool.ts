import type { Logger } from 'pino';
import type { ToolOutcome } from '../../engine/ports.ts';
import { AddressRefusedError } from '../../outbound/address-guard.ts';
import { traceHeaders } from '../../telemetry/scope.ts';
import { callerHeaders, callerOf } from '../contract/caller.ts';
import { listSecretValues } from '../contract/redact.ts';
import type { Tool, ToolContext } from '../contract/tool.ts';
import { type Prepared, toolOf } from '../contract/tool-of.ts';
import { explainNotOffered } from '../parameters/schema-for-models.ts';
import { readAnswer } from './answer.ts';
import type { HttpToolDefinition } from './definition.ts';
import { hashHttpTool } from './hash.ts';
import { fillTemplate, parseTemplate, type UrlTemplate, writeScalar } from './url-template.ts';

/** What HTTP tools send their requests through. */
export interface HttpToolNetwork {
  readonly logger: Logger;
  /** For requests that may be sent again over another connection: it reuses connections. */
  readonly fetchGuarded: typeof fetch;
  /** For requests that must not be sent twice. */
  readonly fetchOnce: typeof fetch;
  /** Whether a system may know to which trace and to which request a call belongs. */
  readonly sharesTrace: (url: URL) => boolean;
}

/** Makes the tool that a definition describes. */
export function createHttpTool(definition: HttpToolDefinition, network: HttpToolNetwork): Tool {
  const { name, description, parameters, timeoutMs, maxResultLength } = definition;
  const { requiresApproval, isIdempotent, requiredRoles } = definition;
  const template = parseTemplate(definition.url);
  const { headers } = definition;
  const usable = typeof template !== 'string' && headers !== null;
  return toolOf<Request>(
    {
      ...{ name, description, parameters, timeoutMs, maxResultLength, requiresApproval, isIdempotent, requiredRoles },
      source: 'HTTP',
      problem: explainNotOffered(parameters),
    },
    {
      hashDefinition: () => hashHttpTool(definition),
      prepare: (args) => (usable ? buildRequest(definition, headers, template, args) : misconfigured),
      send: (request, context) => send(definition, request, context, network),
    },
    network.logger,
  );
}

const misconfigured = { error: 'The tool is misconfigured; ask an administrator.' };

interface Request {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** The request of a call. Arguments that the URL does not use go into the query or the body. */
function buildRequest(
  { method }: HttpToolDefinition,
  headers: Readonly<Record<string, string>>,
  template: UrlTemplate,
  args: Readonly<Record<string, unknown>>,
): Prepared<Request> {
  const rest = Object.entries(args).filter(([name]) => !template.names.has(name));
  if (method !== 'GET' && method !== 'DELETE') {
    const url = fillTemplate(template, args, []);
    if (typeof url === 'string') return { error: url };
    const body = JSON.stringify(Object.fromEntries(rest));
    return { request: { url, headers: { ...headers, 'content-type': 'application/json' }, body } };
  }
  const fixed = rest.find(([name]) => template.taken.has(name));
  if (fixed) return { error: `The argument ${fixed[0].slice(0, 100)} is fixed by the tool.` };
  const query = rest.flatMap(([name, value]) => writeQuery(name, value));
  const url = fillTemplate(template, args, query);
  return typeof url === 'string' ? { error: url } : { request: { url, headers, body: null } };
}

/** An argument as query parameters: a list as one for each item, an object as JSON, null as none. */
function writeQuery(name: string, value: unknown): [name: string, value: string][] {
  if (value === null) return [];
  const values = Array.isArray(value) ? value : [value];
  return values.map((item) => [name, writeScalar(item) ?? JSON.stringify(item)]);
}

async function send(
  { name, method, maxResultLength, headers: ownHeaders, secretNames }: HttpToolDefinition,
  { url, headers, body }: Request,
  context: ToolContext,
  network: HttpToolNetwork,
): Promise<ToolOutcome> {
  const caller = callerOf(context);
  const dial = method === 'GET' ? network.fetchGuarded : network.fetchOnce;
  try {
    const response = await dial(url, {
      method,
      headers: {
        accept: 'application/json, text/*;q=0.9',
        ...(network.sharesTrace(url) ? traceHeaders() : {}),
        ...headers,
        // A small compressed body may be of any size when it is decompressed.
        'accept-encoding': 'identity',
        ...callerHeaders(caller),
      },
      ...(body === null ? {} : { body }),
      signal: context.signal,
    });
    const secrets = listSecretValues({ headers: ownHeaders ?? {}, secretNames });
    return await readAnswer(response, maxResultLength, secrets);
  } catch (error) {
    if (context.signal.aborted) throw error;
    const refused = error instanceof AddressRefusedError;
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    network.logger.warn(
      { tool: name, tenantId: caller.tenant, problem: refused ? 'ADDRESS_NOT_ALLOWED' : (code ?? 'FAILED') },
      'an HTTP tool could not be reached',
    );
    return { ok: false, error: refused ? 'The address of the tool is not allowed.' : 'The tool could not be reached.' };
  }
}
