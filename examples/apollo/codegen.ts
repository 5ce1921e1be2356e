import shared from '../../codegen.ts';

/** Types of the documents of this page. */
const config = {
  schema: '../../schema.graphql',
  documents: ['src/*.graphql'],
  generates: {
    'src/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: { ...shared.generates['src/generated/'].config, importExtension: '.ts' },
    },
  },
};

export default config;
