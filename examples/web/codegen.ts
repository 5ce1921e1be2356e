import shared from '../../codegen.ts';
import { describeOperations } from '../../packages/client/codegen.ts';

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

const calls = 'src/voice/voice.graphql';

/** Those of the page of calls are sent as they are written: nothing caches them. */
export const voice = {
  schema: '../../schema.graphql',
  documents: [calls],
  generates: {
    'src/voice/generated/operations.ts': {
      plugins: [
        'typescript-operations',
        { add: { content: describeOperations(import.meta.dirname, calls), placement: 'append' } },
      ],
      config: { ...target.config, scalars: { ...target.config.scalars, ID: 'string' } },
    },
  },
};
