import shared from '../codegen.ts';

/**
 * What `npm run codegen` generates for the tests and examples: as a front end would, but with imports that Node can
 * follow without a build step.
 */
const config = {
  schema: shared.schema,
  documents: ['test/operations.graphql', 'examples/*.graphql'],
  generates: {
    'test/generated/': {
      ...shared.generates['src/generated/'],
      config: { ...shared.generates['src/generated/'].config, importExtension: '.ts' },
    },
  },
};

export default config;
