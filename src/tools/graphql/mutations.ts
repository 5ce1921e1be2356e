import { builder } from '../../graphql/builder.ts';
import { executeTool } from '../registry/execute.ts';
import { createHttpTool, deleteHttpTool, updateHttpTool } from '../stored/write-http-tools.ts';
import { createMcpServer, deleteMcpServer, updateMcpServer } from '../stored/write-mcp-servers.ts';
import {
  CreateHttpToolInput,
  CreateMcpServerInput,
  ExecuteToolInput,
  UpdateHttpToolInput,
  UpdateMcpServerInput,
} from './inputs.ts';
import { HttpTool, McpServer } from './stored-types.ts';
import { ToolResult } from './types.ts';

const toolId = 'The tool’s id, such as `tool_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';
const serverId = 'The server’s id, such as `mcp_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  executeTool: t.field({
    type: ToolResult,
    description:
      'Runs a tool directly, as the viewer and without a model. A tool that requires an approval runs too, because the caller is the person who would approve it. Over HTTP, it stops when the client disconnects. Limited by RATE_LIMIT_TOOLS.',
    args: { input: t.arg({ type: ExecuteToolInput, required: true, description: 'The tool and its arguments.' }) },
    resolve: (_root, args, context) => executeTool(context.viewer, context.tools, args.input, context.signal),
  }),
  createHttpTool: t.prismaField({
    type: HttpTool,
    description:
      'Creates a tool that sends an HTTP request to a system of the tenant. Only admins may do this. CONFLICT if the name is taken.',
    args: { input: t.arg({ type: CreateHttpToolInput, required: true, description: 'The tool.' }) },
    resolve: (query, _root, args, context) => createHttpTool(context.viewer, context.tools, args.input, query),
  }),
  updateHttpTool: t.prismaField({
    type: HttpTool,
    description:
      'Changes an HTTP tool. Running turns keep the tool as it was when they started. If the URL changes to another origin, secret headers that are not given again are deleted. Only admins may do this.',
    args: {
      id: t.arg.id({ required: true, description: toolId }),
      input: t.arg({ type: UpdateHttpToolInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) => updateHttpTool(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteHttpTool: t.id({
    description: 'Deletes an HTTP tool and returns its id. CONFLICT if an agent has the tool. Only admins may do this.',
    args: { id: t.arg.id({ required: true, description: toolId }) },
    resolve: (_root, args, context) => deleteHttpTool(context.viewer, context.tools, args.id),
  }),
  createMcpServer: t.prismaField({
    type: McpServer,
    description:
      'Adds an MCP server of the tenant. Its tools are named `<server>_<tool>`. Only admins may do this. CONFLICT if the name is taken.',
    args: { input: t.arg({ type: CreateMcpServerInput, required: true, description: 'The server.' }) },
    resolve: (query, _root, args, context) => createMcpServer(context.viewer, context.tools, args.input, query),
  }),
  updateMcpServer: t.prismaField({
    type: McpServer,
    description:
      'Changes an MCP server. Running turns keep its tools as they were when the turns started. If the URL changes to another origin, secret headers that are not given again are deleted. Only admins may do this.',
    args: {
      id: t.arg.id({ required: true, description: serverId }),
      input: t.arg({ type: UpdateMcpServerInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateMcpServer(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteMcpServer: t.id({
    description:
      'Deletes an MCP server and returns its id. CONFLICT if an agent has one of its tools. Only admins may do this.',
    args: { id: t.arg.id({ required: true, description: serverId }) },
    resolve: (_root, args, context) => deleteMcpServer(context.viewer, context.tools, args.id),
  }),
}));
