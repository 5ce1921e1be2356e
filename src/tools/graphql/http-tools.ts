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
  description: 'The method of a request.',
  values: {
    GET: { description: 'Arguments that the URL does not take go into the query.' },
    POST: { description: 'Arguments that the URL does not take go into a JSON body.' },
    PUT: { description: 'As POST.' },
    PATCH: { description: 'As POST.' },
    DELETE: { description: 'As GET.' },
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
      description: 'The headers that are no secret.',
      resolve: (tool) => listHeaders(tool.headers),
    }),
    secretHeaders: t.field({
      type: [SecretHeader],
      description: 'The headers that are secret: their names, and a hint of each.',
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
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
  }),
});

builder.nodeRef(HttpToolRef, {
  id: { resolve: (tool: typeof HttpToolRef.$inferType) => tool.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readHttpTool(context.viewer, context.db, formatId('HttpTool', row), includeUnder(context, info, 'HttpTool')),
    ),
});

const nameDescription = '1 to 64 letters, digits, _ or -; unique among the tools of the tenant.';
const urlDescription =
  'Where the request goes, e.g. https://api.example.com/orders/{orderNumber}. {name} stands for an argument, in path and query only. Private addresses have to be allowed by the operator; redirects are not followed.';
const parametersDescription =
  'JSON Schema (2020-12) of its arguments: "type": "object", at most 65,536 characters, without references to itself. `pattern`, `format` and `uniqueItems` are told to models and not enforced.';
const timeoutDescription = `${described.timeoutMs} 10,000 unless set.`;
const activeDescription = 'Whether it is offered to models. Yes unless set.';

const CreateHttpToolInput = builder.inputType('CreateHttpToolInput', {
  description: 'A new HTTP tool.',
  fields: (t) => ({
    name: t.string({ required: true, description: nameDescription }),
    description: t.string({ required: true, description: 'What it does, as models are told: 1 to 2,000 characters.' }),
    parameters: t.field({ type: 'JSON', required: true, description: parametersDescription }),
    method: t.field({ type: HttpMethod, required: true, description: 'The method of its requests.' }),
    url: t.string({ required: true, description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

const UpdateHttpToolInput = builder.inputType('UpdateHttpToolInput', {
  description: 'What to change of an HTTP tool. What is absent stays.',
  fields: (t) => ({
    name: t.string({ description: nameDescription }),
    description: t.string({ description: 'What it does, as models are told: 1 to 2,000 characters.' }),
    parameters: t.field({ type: 'JSON', description: parametersDescription }),
    method: t.field({ type: HttpMethod, description: 'The method of its requests.' }),
    url: t.string({ description: urlDescription }),
    ...storedToolInputs(t, { timeoutMs: timeoutDescription, isActive: activeDescription }),
  }),
});

builder.queryFields((t) => ({
  httpTools: t.connection(
    {
      type: HttpToolRef,
      description: 'The tenant’s HTTP tools as they are set up, oldest first; for its admins.',
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listHttpTools(context.viewer, context.db, args, includeUnder(context, info, 'HttpTool', toNodes)),
    },
    { name: 'HttpToolConnection', description: 'A page of HTTP tools.' },
    { name: 'HttpToolEdge', description: 'An HTTP tool in a page.' },
  ),
}));

builder.mutationFields((t) => ({
  createHttpTool: t.prismaField({
    type: HttpToolRef,
    description: 'Makes a tool that is a request to a system of the tenant. For admins.',
    args: { input: t.arg({ type: CreateHttpToolInput, required: true, description: 'The tool.' }) },
    resolve: (query, _root, args, context) => createHttpTool(context.viewer, context.tools, args.input, query),
  }),
  updateHttpTool: t.prismaField({
    type: HttpToolRef,
    description:
      'Changes an HTTP tool; turns that are running keep it as it was. A URL of another origin drops the secret headers that are not given anew. For admins.',
    args: {
      id: t.arg.id({ required: true, description: 'The tool’s id, tool_….' }),
      input: t.arg({ type: UpdateHttpToolInput, required: true, description: 'What to change.' }),
    },
    resolve: (query, _root, args, context) => updateHttpTool(context.viewer, context.tools, args.id, args.input, query),
  }),
  deleteHttpTool: t.id({
    description: 'Deletes an HTTP tool that no agent has, and answers its id. For admins.',
    args: { id: t.arg.id({ required: true, description: 'The tool’s id, tool_….' }) },
    resolve: (_root, args, context) => deleteHttpTool(context.viewer, context.tools, args.id),
  }),
}));
