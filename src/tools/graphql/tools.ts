import { builder } from '../../graphql/builder.ts';
import type { ToolDescription } from '../contract/tool.ts';

const ToolSource = builder.enumType('ToolSource', {
  description: 'Where a tool comes from.',
  values: {
    BUILTIN: { description: 'It is part of the server.' },
    HTTP: { description: 'A request to a system of the tenant.' },
    MCP: { description: 'A tool of an MCP server.' },
  } as const,
});

/** The GraphQL type Tool. */
export const Tool = builder.objectRef<ToolDescription>('Tool').implement({
  description: 'Something that an agent can do besides talking.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, as models and settings call it.' }),
    description: t.exposeString('description', { description: 'What it does, as the model is told.' }),
    parameters: t.expose('parameters', { type: 'JSON', description: 'JSON Schema of its arguments.' }),
    requiresApproval: t.exposeBoolean('requiresApproval', {
      description: 'Whether a person has to approve each call.',
    }),
    source: t.expose('source', { type: ToolSource, description: 'Where it comes from.' }),
  }),
});

builder.queryField('tools', (t) =>
  t.field({
    type: [Tool],
    description: 'All tools that agents of the tenant can be given.',
    resolve: async (_root, _args, context) => [...(await context.tools.listTools(context.viewer))],
  }),
);

builder.prismaObjectField('Agent', 'tools', (t) =>
  t.field({
    type: [Tool],
    description:
      'The tools that it may use, as far as they are there now: not those of an MCP server that is out of reach, nor those that are switched off. toolNames has them all.',
    select: { toolNames: true },
    resolve: (agent, _args, context) => context.tools.findTools(context.viewer, agent.toolNames),
  }),
);

builder.prismaObjectField('Agent', 'toolNames', (t) =>
  t.exposeStringList('toolNames', {
    description:
      'The names of all tools that it was given, also of those that are not there now: what a form reads and sends back as tools.',
  }),
);
