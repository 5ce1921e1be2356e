import shared from '../../codegen.ts';

const target = {
  preset: 'client',
  presetConfig: { fragmentMasking: { unmaskFunctionName: 'readFragment' } },
  config: { ...shared.generates['src/generated/'].config, importExtension: '.ts' },
};

/** Types of the documents of the chat, with masked fragments. */
export const chat = {
  schema: '../../schema.graphql',
  documents: ['src/*.graphql'],
  generates: { 'src/generated/': target },
};

/** Those of the admin pages stand apart: the chat loads none of them. */
export const admin = {
  schema: '../../schema.graphql',
  documents: ['src/admin/**/*.graphql'],
  generates: { 'src/admin/generated/': target },
};
