import { ExportRef } from '../../../exports/graphql/types.ts';
import { builder } from '../../../graphql/builder.ts';
import { ConversationRef } from '../../graphql/types.ts';
import { type ExportFormat, exportConversation } from '../export.ts';
import { type ImportResult, importConversations } from '../import.ts';

const ExportFormatEnum = builder.enumType('ExportFormat', {
  description: 'The format of an exported conversation.',
  values: {
    JSON: { description: 'Everything, so that it can be imported again.' },
    MARKDOWN: { description: 'The active branch as a text for people.' },
  } as const satisfies Record<ExportFormat, object>,
});

const ImportResultRef = builder.objectRef<ImportResult>('ImportResult').implement({
  description: 'What an import has made, and what it has left out.',
  fields: (t) => ({
    conversations: t.field({
      type: [ConversationRef],
      description: 'The new conversations, in the order of the file, at most 1,000.',
      resolve: ({ conversations }) => [...conversations],
    }),
    skipped: t.exposeStringList('skipped', {
      description:
        'What was left out and why, a sentence each, such as `Conversation 3 was left out: it is nested deeper than 110.` At most 1,001 of them.',
    }),
  }),
});

builder.mutationFields((t) => ({
  exportConversation: t.field({
    type: ExportRef,
    description:
      'Makes a file of one conversation of the viewer: as JSON with all branches, tool calls, handoffs, citations and feedback, which `importConversations` takes again, or as Markdown with the active branch. RATE_LIMITED if the viewer is making an export already, or has 20 that have not expired.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      format: t.arg({ type: ExportFormatEnum, defaultValue: 'JSON', description: 'The format of the file.' }),
    },
    resolve: (_root, args, context) => exportConversation(context.viewer, context.exports, args, context.signal),
  }),
  importConversations: t.field({
    type: ImportResultRef,
    description:
      'Imports conversations from a file as new ones of the viewer, with new ids: a file of `exportConversation`, or `conversations.json` of an export of ChatGPT, which gives its texts with their branches. A conversation that cannot be imported is left out as a whole, and `skipped` says why. The guardrails for INPUT check all texts. RATE_LIMITED if the viewer is importing already.',
    args: {
      file: t.arg({
        type: 'File',
        required: true,
        description:
          'The file, in a multipart request. At most IMPORT_MAX_MB (default 100) megabytes. More than 25 need the header Content-Length.',
      }),
    },
    resolve: (_root, args, context) =>
      importConversations(
        context.viewer,
        {
          db: context.db,
          feed: context.feed,
          exports: context.exports,
          agents: context.agentDeps,
          turnLimit: context.runs.turnLimit,
          clientGone: context.signal,
        },
        args.file,
      ),
  }),
}));
