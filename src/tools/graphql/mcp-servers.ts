import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { listHeaders } from '../contract/headers.ts';
import { listDropped, shownSecrets } from '../registry/tool-secrets.ts';
import { listMcpServers, readMcpServer } from '../stored/read.ts';
import { createMcpServer, deleteMcpServer, updateMcpServer } from '../stored/write-mcp-servers.ts';
import { described, HttpHeader, SecretHeader, storedToolInputs } from './headers.ts';
import { Tool } from './tools.ts';

const McpServerStatus = builder.enumType('McpServerStatus', {
  description: 'The state of the connection between this server instance and an MCP server.',
  values: {
    CONNECTED: { description: 'The connection is open.' },
    CONNECTING: { description: 'The connection is being opened.' },
    NOT_CONNECTED: { description: 'The server is switched off, or the connection was lost just now.' },
    FAILED: { description: 'The connection failed and will be tried again. The log of Switchboard has the cause.' },
  } as const,
});

const McpServerRef = builder.prismaObject('McpServer', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    url: t.exposeString('url', {}),
    headers: t.field({
      type: [HttpHeader],
      description: 'The headers that are not secret.',
      resolve: (server) => listHeaders(server.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: 'The names of the secret headers, with a hint of each value.',
      select: { secrets: shownSecrets },
      resolve: (server) => server.secrets,
    }),
    droppedSecretHeaders: t.stringList({
      description: described.droppedSecretHeaders,
      resolve: listDropped,
    }),
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

builder.nodeRef(McpServerRef, {
  id: { resolve: (server: typeof McpServerRef.$inferType) => server.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readMcpServer(context.viewer, context.db, formatId('McpServer', row), includeUnder(context, info, 'McpServer')),
    ),
});

const nameDescription =
  'The name, 1 to 32 letters, digits or `-`. Example: `crm`. The names of the server’s tools start with it: `crm_find_customer`. Unique in the tenant.';
const urlDescription =
  'The streamable HTTP endpoint, at most 4,096 characters. Example: `https://crm.example.com/mcp`. Private addresses work only if the operator lists them in MODEL_ALLOWED_HOSTS. Redirects are not followed.';
const timeoutDescription = `${described.timeoutMs} Default: 30,000.`;
const activeDescription = 'Whether the server’s tools are offered to models. Default: true.';

const CreateMcpServerInput = builder.inputType('CreateMcpServerInput', {
  description: 'The properties of a new MCP server.',
  fields: (t) => ({
    name: t.string({ required: true, description: nameDescription }),
    url: t.string({ required: true, description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

const UpdateMcpServerInput = builder.inputType('UpdateMcpServerInput', {
  description: 'The changes to an MCP server. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: nameDescription }),
    url: t.string({ description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

builder.queryFields((t) => ({
  mcpServers: t.connection(
    {
      type: McpServerRef,
      description:
        'The configuration of the tenant’s MCP servers, oldest first. 50 per page by default, at most 100. Only admins may read it.',
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listMcpServers(context.viewer, context.db, args, includeUnder(context, info, 'McpServer', toNodes)),
    },
    { name: 'McpServerConnection', description: 'One page of a list of MCP servers.' },
    { name: 'McpServerEdge', description: 'An MCP server in a list, with its cursor.' },
  ),
}));

builder.mutationFields((t) => ({
  createMcpServer: t.prismaField({
    type: McpServerRef,
    description:
      'Adds an MCP server of the tenant. Its tools are named `<server>_<tool>`. Only admins may do this. CONFLICT if the name is taken.',
    args: { input: t.arg({ type: CreateMcpServerInput, required: true, description: 'The server.' }) },
    resolve: (query, _root, args, context) => createMcpServer(context.viewer, context.tools, args.input, query),
  }),
  updateMcpServer: t.prismaField({
    type: McpServerRef,
    description:
      'Changes an MCP server. Running turns keep its tools as they were when the turns started. If the URL changes to another origin, secret headers that are not given again are deleted. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The server’s id, such as `mcp_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: UpdateMcpServerInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateMcpServer(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteMcpServer: t.id({
    description:
      'Deletes an MCP server and returns its id. CONFLICT if an agent has one of its tools. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The server’s id, such as `mcp_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => deleteMcpServer(context.viewer, context.tools, args.id),
  }),
}));
