import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { listHeaders } from '../contract/headers.ts';
import { readHttpTool, readMcpServer } from '../stored/read.ts';
import { listDropped, shownSecrets } from '../stored/secret-headers.ts';
import { HttpMethod, Tool } from './types.ts';

// What a tenant stores of its own: HTTP tools and MCP servers. Their fields of one name have one description.

const HttpHeader = builder.objectRef<{ readonly name: string; readonly value: string }>('HttpHeader').implement({
  description: 'An HTTP header that is not secret.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the header, in lower case. Example: `x-api-version`.' }),
    value: t.exposeString('value', { description: 'The value of the header.' }),
  }),
});

const SecretHeader = builder.objectRef<{ readonly name: string; readonly hint: string }>('SecretHeader').implement({
  description: 'A secret HTTP header. Its value is stored encrypted and can never be read back.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the header, in lower case. Example: `x-api-version`.' }),
    hint: t.exposeString('hint', {
      description: 'The last four characters of the value. Empty if they would reveal too much of it.',
    }),
  }),
});

const McpServerStatus = builder.enumType('McpServerStatus', {
  description: 'The state of the connection between the server process that answers and an MCP server.',
  values: {
    CONNECTED: { description: 'The connection is open.' },
    CONNECTING: { description: 'The connection is being opened.' },
    NOT_CONNECTED: { description: 'The server is switched off, or the connection was lost just now.' },
    FAILED: { description: 'The connection failed and will be tried again. The log of Switchboard has the cause.' },
  } as const,
});

const headersDescription = 'The headers that are not secret.';
const secretHeadersDescription = 'The names of the secret headers, with a hint of each value.';
const droppedDescription =
  'In the response to an update: the names of the secret headers that were deleted because the URL changed to another origin. Otherwise empty.';

/** The GraphQL type HttpTool. */
export const HttpTool = builder.prismaObject('HttpTool', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    description: t.exposeString('description', {}),
    parameters: t.expose('parameters', { type: 'JSON' }),
    method: t.expose('method', { type: HttpMethod }),
    url: t.exposeString('url', {}),
    headers: t.field({
      type: [HttpHeader],
      description: headersDescription,
      resolve: (tool) => listHeaders(tool.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: secretHeadersDescription,
      select: { secrets: shownSecrets },
      resolve: (tool) => tool.secrets,
    }),
    droppedSecretHeaders: t.stringList({ description: droppedDescription, resolve: listDropped }),
    timeoutMs: t.exposeInt('timeoutMs', {}),
    maxResultLength: t.exposeInt('maxResultLength', {}),
    requiresApproval: t.exposeBoolean('requiresApproval', {}),
    isIdempotent: t.exposeBoolean('isIdempotent', {}),
    requiredRoles: t.exposeStringList('requiredRoles', {}),
    isActive: t.exposeBoolean('isActive', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the tool was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the tool was last changed.' }),
  }),
});

builder.nodeRef(HttpTool, {
  id: { resolve: (tool: typeof HttpTool.$inferType) => tool.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readHttpTool(context.viewer, context.db, formatId('HttpTool', row), includeUnder(context, info, 'HttpTool')),
    ),
});

/** The GraphQL type McpServer. */
export const McpServer = builder.prismaObject('McpServer', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    url: t.exposeString('url', {}),
    headers: t.field({
      type: [HttpHeader],
      description: headersDescription,
      resolve: (server) => listHeaders(server.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: secretHeadersDescription,
      select: { secrets: shownSecrets },
      resolve: (server) => server.secrets,
    }),
    droppedSecretHeaders: t.stringList({ description: droppedDescription, resolve: listDropped }),
    timeoutMs: t.exposeInt('timeoutMs', {}),
    maxResultLength: t.exposeInt('maxResultLength', {}),
    requiresApproval: t.exposeBoolean('requiresApproval', {}),
    requiredRoles: t.exposeStringList('requiredRoles', {}),
    isActive: t.exposeBoolean('isActive', {}),
    status: t.field({
      type: McpServerStatus,
      description: 'The state of the connection. The first connection attempt is awaited before it is returned.',
      resolve: (server, _args, context) => context.tools.inspectServer(context.viewer, server.name),
    }),
    tools: t.field({
      type: [Tool],
      description: 'The tools of the server. If the server is unavailable, its last known tools.',
      resolve: (server, _args, context) => context.tools.listServerTools(context.viewer, server.name),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the server was added.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When the server’s configuration was last changed.',
    }),
  }),
});

builder.nodeRef(McpServer, {
  id: { resolve: (server: typeof McpServer.$inferType) => server.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readMcpServer(context.viewer, context.db, formatId('McpServer', row), includeUnder(context, info, 'McpServer')),
    ),
});
