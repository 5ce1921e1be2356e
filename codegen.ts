/**
 * The configuration of the GraphQL Code Generator for a front end. Copy this file and schema.graphql next to the
 * front end's package.json, then run `npx graphql-codegen`. It reads the documents in `src/` and writes their types, and
 * what a cache must know of interfaces and unions, into `src/generated/`.
 */
const config = {
  schema: 'schema.graphql',
  documents: ['src/**/*.graphql'],
  generates: {
    'src/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumType: 'string-literal',
        scalars: { DateTime: 'string', JSON: 'unknown', File: 'File' },
        strictScalars: true,
      },
    },
    'src/generated/possible-types.ts': {
      plugins: ['fragment-matcher'],
    },
  },
};

export default config;
