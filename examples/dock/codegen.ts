import shared from '../../codegen.ts';
import { describeOperations } from '../../packages/client/codegen.ts';

const documents = 'src/operations.graphql';

/** Types of the documents of the dock, and their texts: it has no GraphQL library. */
const config = {
  schema: '../../schema.graphql',
  documents: [documents],
  generates: {
    'src/generated/operations.ts': {
      plugins: [
        'typescript-operations',
        { add: { content: describeOperations(import.meta.dirname, documents), placement: 'append' } },
      ],
      config: {
        ...shared.generates['src/generated/'].config,
        scalars: { ...shared.generates['src/generated/'].config.scalars, ID: 'string' },
      },
    },
  },
};

export default config;
