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
  description: 'How the connection of this instance to an MCP server stands.',
  values: {
    CONNECTED: { description: 'It is there.' },
    CONNECTING: { description: 'It is being made.' },
    NOT_CONNECTED: { description: 'The server is switched off, or was lost just now.' },
    FAILED: { description: 'It could not be made; it is tried again. The server’s log says why.' },
  } as const,
});

const McpServerRef = builder.prismaObject('McpServer', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    url: t.exposeString('url', {}),
    headers: t.field({
      type: [HttpHeader],
      description: 'The headers that are no secret.',
      resolve: (server) => listHeaders(server.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: 'The headers that are secret: their names, and a hint of each.',
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
      description: 'How the connection to it stands, once it was tried: that is waited for as with `tools`.',
      resolve: (server, _args, context) => context.tools.inspectServer(context.viewer, server.name),
    }),
    tools: t.field({
      type: [Tool],
      description: 'Its tools. Where it is out of reach: those that were last known.',
      resolve: (server, _args, context) => context.tools.listServerTools(context.viewer, server.name),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
  }),
});

builder.nodeRef(McpServerRef, {
  id: { resolve: (server: typeof McpServerRef.$inferType) => server.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readMcpServer(context.viewer, context.db, formatId('McpServer', row), includeUnder(context, info, 'McpServer')),
    ),
});

const nameDescription = 'The first part of its tools’ names: 1 to 32 letters, digits or -; unique in the tenant.';
const urlDescription =
  'Its streamable HTTP endpoint. Private addresses have to be allowed by the operator; redirects are not followed.';
const timeoutDescription = `${described.timeoutMs} 30,000 unless set.`;
const activeDescription = 'Whether its tools are offered to models. Yes unless set.';

const CreateMcpServerInput = builder.inputType('CreateMcpServerInput', {
  description: 'A new MCP server.',
  fields: (t) => ({
    name: t.string({ required: true, description: nameDescription }),
    url: t.string({ required: true, description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

const UpdateMcpServerInput = builder.inputType('UpdateMcpServerInput', {
  description: 'What to change of an MCP server. What is absent stays.',
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
      description: 'The tenant’s MCP servers, oldest first; for its admins.',
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listMcpServers(context.viewer, context.db, args, includeUnder(context, info, 'McpServer', toNodes)),
    },
    { name: 'McpServerConnection', description: 'A page of MCP servers.' },
    { name: 'McpServerEdge', description: 'An MCP server in a page.' },
  ),
}));

builder.mutationFields((t) => ({
  createMcpServer: t.prismaField({
    type: McpServerRef,
    description: 'Makes an MCP server of the tenant, whose tools agents can be given as <server>_<tool>. For admins.',
    args: { input: t.arg({ type: CreateMcpServerInput, required: true, description: 'The server.' }) },
    resolve: (query, _root, args, context) => createMcpServer(context.viewer, context.tools, args.input, query),
  }),
  updateMcpServer: t.prismaField({
    type: McpServerRef,
    description:
      'Changes an MCP server; turns that are running keep it as it was. A URL of another origin drops the secret headers that are not given anew. For admins.',
    args: {
      id: t.arg.id({ required: true, description: 'The server’s id, mcp_….' }),
      input: t.arg({ type: UpdateMcpServerInput, required: true, description: 'What to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateMcpServer(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteMcpServer: t.id({
    description: 'Deletes an MCP server whose tools no agent has, and answers its id. For admins.',
    args: { id: t.arg.id({ required: true, description: 'The server’s id, mcp_….' }) },
    resolve: (_root, args, context) => deleteMcpServer(context.viewer, context.tools, args.id),
  }),
}));
