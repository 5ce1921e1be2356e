import { builder } from '../../graphql/builder.ts';
import { executeTool, type ToolResult as Result } from '../registry/execute.ts';

const ToolResult = builder.objectRef<Result>('ToolResult').implement({
  description: 'What a tool came back with.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The tool that was called.' }),
    ok: t.exposeBoolean('ok', { description: 'Whether it worked.' }),
    result: t.expose('result', {
      type: 'JSON',
      nullable: true,
      description: 'What it answered, no longer than its limit. Null where it failed.',
    }),
    error: t.exposeString('error', {
      nullable: true,
      description:
        'What it failed of, as a model would be told: also arguments against its schema, or no answer in time.',
    }),
    durationMs: t.exposeInt('durationMs', { description: 'How long it took, in milliseconds.' }),
  }),
});

const ExecuteToolInput = builder.inputType('ExecuteToolInput', {
  description: 'A call of a tool.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The tool’s name, as `tools` lists it.' }),
    arguments: t.field({
      type: 'JSON',
      required: true,
      description:
        'Its arguments: a JSON object of at most 65,536 characters. Whole numbers beyond ±9,007,199,254,740,991 are ' +
        'given as text: they would be rounded.',
    }),
    conversationId: t.id({ description: 'A conversation of the viewer, which the tool is told of.' }),
  }),
});

builder.mutationField('executeTool', (t) =>
  t.field({
    type: ToolResult,
    description:
      'Runs a tool directly, as the viewer and without a model. A tool that needs approval runs as well: who calls it is ' +
      'the person who approves. Over HTTP it ends when the client leaves.',
    args: { input: t.arg({ type: ExecuteToolInput, required: true, description: 'The call.' }) },
    resolve: (_root, args, context) => executeTool(context.viewer, context.tools, args.input, context.signal),
  }),
);
