import shared from '../../codegen.ts';

/** Types of the documents of this page, with masked fragments, and what graphcache must know of the schema. */
const config = {
  schema: '../../schema.graphql',
  documents: ['src/**/*.graphql'],
  generates: {
    'src/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: { unmaskFunctionName: 'readFragment' } },
      config: { ...shared.generates['src/generated/'].config, importExtension: '.ts' },
    },
  },
};

export default config;
