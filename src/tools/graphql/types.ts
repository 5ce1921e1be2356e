import { builder } from '../../graphql/builder.ts';
import type { ToolDescription } from '../contract/tool.ts';
import type { ToolResult as Result } from '../registry/execute.ts';

/** The GraphQL enum HttpMethod. */
export const HttpMethod = builder.enumType('HttpMethod', {
  description: 'The method of an HTTP request.',
  values: {
    GET: { description: 'GET. Arguments that are not placeholders of the URL go into the query.' },
    POST: { description: 'POST. Arguments that are not placeholders of the URL go into a JSON body.' },
    PUT: { description: 'PUT. Arguments are sent as with POST.' },
    PATCH: { description: 'PATCH. Arguments are sent as with POST.' },
    DELETE: { description: 'DELETE. Arguments are sent as with GET.' },
  } as const,
});

const ToolSource = builder.enumType('ToolSource', {
  description: 'The kind of a tool.',
  values: {
    BUILTIN: { description: 'A tool that is part of the server.' },
    HTTP: { description: 'A tool that sends an HTTP request to a system of the tenant or the operator.' },
    MCP: { description: 'A tool of an MCP server.' },
  } as const,
});

/** The GraphQL type Tool. */
export const Tool = builder.objectRef<ToolDescription>('Tool').implement({
  description: 'A function that agents can call, such as `lookup_order`.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'The name by which models, agents and settings refer to the tool. Example: `lookup_order`.',
    }),
    description: t.exposeString('description', { description: 'What the tool does, as the model reads it.' }),
    parameters: t.expose('parameters', { type: 'JSON', description: 'The JSON Schema of the arguments.' }),
    requiresApproval: t.exposeBoolean('requiresApproval', {
      description: 'Whether the user must approve each call that a model makes.',
    }),
    problem: t.exposeString('problem', {
      nullable: true,
      description:
        'Why the tool is left out of turns, such as a schema that is too large for models. Null if it is offered to them. `executeTool` can call it all the same.',
    }),
    source: t.expose('source', { type: ToolSource, description: 'The kind of the tool.' }),
  }),
});

/** The GraphQL type ToolResult. */
export const ToolResult = builder.objectRef<Result>('ToolResult').implement({
  description: 'The outcome of a tool call.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the tool that was called.' }),
    ok: t.exposeBoolean('ok', { description: 'Whether the call succeeded.' }),
    result: t.expose('result', {
      type: 'JSON',
      nullable: true,
      description: 'The result of the tool. A result longer than `maxResultLength` is cut. Null if the call failed.',
    }),
    error: t.exposeString('error', {
      nullable: true,
      description:
        'The cause of the failure, in the words that a model would read. Invalid arguments and timeouts are reported here too. Null if the call succeeded.',
    }),
    durationMs: t.exposeInt('durationMs', { description: 'The duration of the call in milliseconds.' }),
  }),
});

builder.prismaObjectField('Agent', 'tools', (t) =>
  t.field({
    type: [Tool],
    description:
      'The tools of the agent that are available now. Tools of an unavailable MCP server and tools that are switched off are missing here; `toolNames` has all names.',
    resolve: (agent, _args, context) => context.tools.findTools(context.viewer, agent.toolNames),
  }),
);

builder.prismaObjectField('Agent', 'toolNames', (t) =>
  t.exposeStringList('toolNames', {
    description:
      'The names of all tools of the agent, also of those that are unavailable now. A form should read this list and send it back as `tools`.',
  }),
);
