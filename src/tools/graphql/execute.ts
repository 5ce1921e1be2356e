import { builder } from '../../graphql/builder.ts';
import { executeTool, type ToolResult as Result } from '../registry/execute.ts';

const ToolResult = builder.objectRef<Result>('ToolResult').implement({
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

const ExecuteToolInput = builder.inputType('ExecuteToolInput', {
  description: 'One call of a tool.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'The name of the tool, as `tools` lists it. Example: `current_time`.',
    }),
    arguments: t.field({
      type: 'JSON',
      required: true,
      description:
        'The arguments: a JSON object of at most 65,536 characters. Example: `{"timeZone": "Europe/Berlin"}`. Integers beyond ±9,007,199,254,740,991 must be given as strings, because they would be rounded.',
    }),
    conversationId: t.id({ description: 'The id of a conversation of the viewer. The tool receives it as context.' }),
  }),
});

builder.mutationField('executeTool', (t) =>
  t.field({
    type: ToolResult,
    description:
      'Runs a tool directly, as the viewer and without a model. A tool that requires an approval runs too, because the caller is the person who would approve it. Over HTTP, it stops when the client disconnects. Limited by RATE_LIMIT_TOOLS.',
    args: { input: t.arg({ type: ExecuteToolInput, required: true, description: 'The tool and its arguments.' }) },
    resolve: (_root, args, context) => executeTool(context.viewer, context.tools, args.input, context.signal),
  }),
);
