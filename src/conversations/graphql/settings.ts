import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { readChatSettings, updateChatSettings } from '../settings.ts';

const ChatSettings = builder.prismaObject('ChatSettings', {
  fields: (t) => ({
    id: t.id({ description: 'Its id, set_<uuid>.', resolve: (settings) => formatId('ChatSettings', settings.id) }),
    enabledTools: t.exposeStringList('enabledTools', {}),
    enabledAgents: t.field({
      type: [AgentRef],
      description: 'The agents that may take part. Empty: all that the scenario has.',
      select: (_args, _context, nested) => ({
        enabledAgents: { orderBy: { position: 'asc' }, include: { agent: nested() } },
      }),
      resolve: (settings) => settings.enabledAgents.map((enabled) => enabled.agent),
    }),
    model: t.exposeString('model', { nullable: true }),
    temperature: t.exposeFloat('temperature', {
      description:
        'Sampling temperature, 0.0 to 2.0. The default, 0.7, counts as not set: the agent’s own applies, else the model’s.',
    }),
    maxTokens: t.exposeInt('maxTokens', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When they were first set.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When they were last changed.' }),
  }),
});

const UpdateChatSettingsInput = builder.inputType('UpdateChatSettingsInput', {
  description: 'What to change. What is absent stays; null goes back to the default.',
  fields: (t) => ({
    enabledTools: t.stringList({
      description:
        'Names of tools that there are, or that were enabled already, at most 100. Empty: all that the agent has.',
    }),
    enabledAgents: t.idList({ description: 'Ids of agents, at most 100. Empty: all that the scenario has.' }),
    model: t.string({ description: 'A model that overrides the agent’s: 1 to 200 characters. Null: the agent’s own.' }),
    temperature: t.float({
      description: '0.0 to 2.0. Null and 0.7 are not set: the agent’s own applies, else the model’s.',
    }),
    maxTokens: t.int({ description: '1 to 32,000.' }),
  }),
});

builder.queryField('chatSettings', (t) =>
  t.prismaField({
    type: ChatSettings,
    description: 'What the viewer prefers for all turns; the defaults where nothing was set.',
    resolve: (query, _root, _args, context) => readChatSettings(context.viewer, context.db, query),
  }),
);

builder.mutationField('updateChatSettings', (t) =>
  t.prismaField({
    type: ChatSettings,
    description: 'Changes what the viewer prefers.',
    args: { input: t.arg({ type: UpdateChatSettingsInput, required: true, description: 'What to change.' }) },
    resolve: (query, _root, args, context) =>
      updateChatSettings(context.viewer, context.db, context.agentDeps.toolNames, args.input, query),
  }),
);
