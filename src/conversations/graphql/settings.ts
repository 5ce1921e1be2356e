import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { readChatSettings, updateChatSettings } from '../settings.ts';

const ChatSettings = builder.prismaObject('ChatSettings', {
  fields: (t) => ({
    id: t.id({
      description: 'The id of the settings, such as `set_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: (settings) => formatId('ChatSettings', settings.id),
    }),
    enabledTools: t.exposeStringList('enabledTools', {}),
    enabledAgents: t.field({
      type: [AgentRef],
      description: 'The agents that may take part in turns. If empty, all agents of the scenario.',
      select: (_args, _context, nested) => ({
        enabledAgents: { orderBy: { position: 'asc' }, include: { agent: nested() } },
      }),
      resolve: (settings) => settings.enabledAgents.map((enabled) => enabled.agent),
    }),
    model: t.exposeString('model', { nullable: true }),
    temperature: t.exposeFloat('temperature', {
      description:
        'The sampling temperature, 0.0 to 2.0. The default, 0.7, counts as not set: the agent’s own temperature applies, otherwise the model’s.',
    }),
    maxTokens: t.exposeInt('maxTokens', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the settings were first changed.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the settings were last changed.' }),
  }),
});

const UpdateChatSettingsInput = builder.inputType('UpdateChatSettingsInput', {
  description: 'The changes to the settings. Omitted fields stay as they are; null restores the default.',
  fields: (t) => ({
    enabledTools: t.stringList({
      description:
        'The names of the tools that turns may use, at most 100. Names that are enabled already are accepted even if the tool is unavailable. Null or empty: all tools of the agent.',
    }),
    enabledAgents: t.idList({
      description:
        'The ids of the agents that may take part in turns, at most 100. Null or empty: all agents of the scenario.',
    }),
    model: t.string({
      description:
        'A model that replaces the agent’s own, 1 to 200 characters. Example: `gpt-5-mini`. Null: the agent’s own model.',
    }),
    temperature: t.float({
      description:
        'The sampling temperature, 0.0 to 2.0. Null and 0.7 count as not set: the agent’s own temperature applies, otherwise the model’s.',
    }),
    maxTokens: t.int({ description: 'The maximum number of tokens of one model answer, 1 to 32,000. Null: 2,000.' }),
  }),
});

builder.queryField('chatSettings', (t) =>
  t.prismaField({
    type: ChatSettings,
    description: 'The viewer’s settings for all turns. Settings that were never changed have their defaults.',
    resolve: (query, _root, _args, context) => readChatSettings(context.viewer, context.db, query),
  }),
);

builder.mutationField('updateChatSettings', (t) =>
  t.prismaField({
    type: ChatSettings,
    description: 'Changes the viewer’s settings. They apply to turns that start afterwards.',
    args: { input: t.arg({ type: UpdateChatSettingsInput, required: true, description: 'The fields to change.' }) },
    resolve: (query, _root, args, context) =>
      updateChatSettings(context.viewer, context.db, context.agentDeps.toolNames, args.input, query),
  }),
);
