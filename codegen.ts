/**
 * What `npm run codegen` generates, in the shape of @graphql-codegen/cli: a front end can copy it as it stands.
 * The output runs on Node without a build step: no enums, and imports with their extension.
 */
const config = {
  schema: 'schema.graphql',
  documents: ['test/operations.graphql', 'examples/**/*.graphql'],
  generates: {
    'test/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumType: 'string-literal',
        importExtension: '.ts',
        scalars: { DateTime: 'string', JSON: 'unknown', File: 'File' },
        strictScalars: true,
      },
    },
  },
};

export default config;
