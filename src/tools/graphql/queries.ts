import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listHttpTools, listMcpServers } from '../stored/read.ts';
import { HttpTool, McpServer } from './stored-types.ts';
import { Tool } from './types.ts';

builder.queryFields((t) => ({
  tools: t.field({
    type: [Tool],
    description: 'All tools that agents of the tenant can have.',
    resolve: async (_root, _args, context) => [...(await context.tools.listTools(context.viewer))],
  }),
  httpTools: t.connection(
    {
      type: HttpTool,
      nullable: true,
      description:
        'The configuration of the tenant’s HTTP tools, oldest first. 50 per page by default, at most 100. Only admins may read it: for others it is null, with the error FORBIDDEN.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listHttpTools(context.viewer, context, args, includeUnder(context, info, 'HttpTool', toNodes)),
    },
    { name: 'HttpToolConnection', description: 'One page of a list of HTTP tools.' },
    { name: 'HttpToolEdge', description: 'An HTTP tool in a list, with its cursor.' },
  ),
  mcpServers: t.connection(
    {
      type: McpServer,
      nullable: true,
      description:
        'The configuration of the tenant’s MCP servers, oldest first. 50 per page by default, at most 100. Only admins may read it: for others it is null, with the error FORBIDDEN.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listMcpServers(context.viewer, context, args, includeUnder(context, info, 'McpServer', toNodes)),
    },
    { name: 'McpServerConnection', description: 'One page of a list of MCP servers.' },
    { name: 'McpServerEdge', description: 'An MCP server in a list, with its cursor.' },
  ),
}));
