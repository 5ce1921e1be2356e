import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { listHeaders } from '../contract/headers.ts';
import { listDropped, shownSecrets } from '../registry/tool-secrets.ts';
import { listHttpTools, readHttpTool } from '../stored/read.ts';
import { createHttpTool, deleteHttpTool, updateHttpTool } from '../stored/write-http-tools.ts';
import { described, HttpHeader, SecretHeader, storedToolInputs } from './headers.ts';

const HttpMethod = builder.enumType('HttpMethod', {
  description: 'The method of an HTTP request.',
  values: {
    GET: { description: 'GET. Arguments that are not placeholders of the URL go into the query.' },
    POST: { description: 'POST. Arguments that are not placeholders of the URL go into a JSON body.' },
    PUT: { description: 'PUT. Arguments are sent as with POST.' },
    PATCH: { description: 'PATCH. Arguments are sent as with POST.' },
    DELETE: { description: 'DELETE. Arguments are sent as with GET.' },
  } as const,
});

const HttpToolRef = builder.prismaObject('HttpTool', {
  fields: (t) => ({
    name: t.exposeString('name', {}),
    description: t.exposeString('description', {}),
    parameters: t.expose('parameters', { type: 'JSON' }),
    method: t.expose('method', { type: HttpMethod }),
    url: t.exposeString('url', {}),
    headers: t.field({
      type: [HttpHeader],
      description: 'The headers that are not secret.',
      resolve: (tool) => listHeaders(tool.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: 'The names of the secret headers, with a hint of each value.',
      select: { secrets: shownSecrets },
      resolve: (tool) => tool.secrets,
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
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the tool was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the tool was last changed.' }),
  }),
});

builder.nodeRef(HttpToolRef, {
  id: { resolve: (tool: typeof HttpToolRef.$inferType) => tool.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readHttpTool(context.viewer, context.db, formatId('HttpTool', row), includeUnder(context, info, 'HttpTool')),
    ),
});

const nameDescription =
  'The name, 1 to 64 letters, digits, `_` or `-`. Example: `get_invoice`. Unique among the tools of the tenant; it must not start with `transfer_to_`.';
const urlDescription =
  'The URL of the request, at most 4,096 characters. `{name}` is replaced with that argument, in the path and the query only. Example: `https://api.example.com/orders/{orderNumber}`. Private addresses work only if the operator lists them in MODEL_ALLOWED_HOSTS. Redirects are not followed.';
const parametersDescription =
  'The JSON Schema (2020-12) of the arguments: an object schema of at most 65,536 characters without recursive references. Example: `{"type": "object", "properties": {"orderNumber": {"type": "string"}}, "required": ["orderNumber"]}`. `format` and `uniqueItems` are shown to the model but not enforced.';
const timeoutDescription = `${described.timeoutMs} Default: 10,000.`;
const activeDescription = 'Whether the tool is offered to models. Default: true.';

const CreateHttpToolInput = builder.inputType('CreateHttpToolInput', {
  description: 'The properties of a new HTTP tool.',
  fields: (t) => ({
    name: t.string({ required: true, description: nameDescription }),
    description: t.string({
      required: true,
      description:
        'What the tool does, 1 to 2,000 characters. The model reads it to decide when to call the tool. Example: `Finds an invoice by its number`.',
    }),
    parameters: t.field({ type: 'JSON', required: true, description: parametersDescription }),
    method: t.field({ type: HttpMethod, required: true, description: 'The method of the request.' }),
    url: t.string({ required: true, description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

const UpdateHttpToolInput = builder.inputType('UpdateHttpToolInput', {
  description: 'The changes to an HTTP tool. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: nameDescription }),
    description: t.string({
      description:
        'What the tool does, 1 to 2,000 characters. The model reads it to decide when to call the tool. Example: `Finds an invoice by its number`.',
    }),
    parameters: t.field({ type: 'JSON', description: parametersDescription }),
    method: t.field({ type: HttpMethod, description: 'The method of the request.' }),
    url: t.string({ description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

builder.queryFields((t) => ({
  httpTools: t.connection(
    {
      type: HttpToolRef,
      description:
        'The configuration of the tenant’s HTTP tools, oldest first. 50 per page by default, at most 100. Only admins may read it.',
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listHttpTools(context.viewer, context.db, args, includeUnder(context, info, 'HttpTool', toNodes)),
    },
    { name: 'HttpToolConnection', description: 'One page of a list of HTTP tools.' },
    { name: 'HttpToolEdge', description: 'An HTTP tool in a list, with its cursor.' },
  ),
}));

builder.mutationFields((t) => ({
  createHttpTool: t.prismaField({
    type: HttpToolRef,
    description:
      'Creates a tool that sends an HTTP request to a system of the tenant. Only admins may do this. CONFLICT if the name is taken.',
    args: { input: t.arg({ type: CreateHttpToolInput, required: true, description: 'The tool.' }) },
    resolve: (query, _root, args, context) => createHttpTool(context.viewer, context.tools, args.input, query),
  }),
  updateHttpTool: t.prismaField({
    type: HttpToolRef,
    description:
      'Changes an HTTP tool. Running turns keep the tool as it was when they started. If the URL changes to another origin, secret headers that are not given again are deleted. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The tool’s id, such as `tool_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: UpdateHttpToolInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) => updateHttpTool(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteHttpTool: t.id({
    description: 'Deletes an HTTP tool and returns its id. CONFLICT if an agent has the tool. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The tool’s id, such as `tool_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => deleteHttpTool(context.viewer, context.tools, args.id),
  }),
}));
