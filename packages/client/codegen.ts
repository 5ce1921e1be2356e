import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, print, separateOperations, stripIgnoredCharacters } from 'graphql';
import shared from '../../codegen.ts';

const settings = shared.generates['src/generated/'].config;
const documents = 'src/operations.graphql';
const generated = 'packages/client/src/generated';

/** What `npm run codegen` generates for @switchboard/client: paths are relative to the root of the repository. */
const config = {
  schema: shared.schema,
  documents: [`packages/client/${documents}`],
  generates: {
    // Not by the preset for clients: its documents need a package, and the core needs none.
    [`${generated}/operations.ts`]: {
      plugins: [
        'typescript-operations',
        { add: { content: describeOperations(import.meta.dirname, documents), placement: 'append' } },
      ],
      config: { ...settings, scalars: { ...settings.scalars, ID: 'string' } },
    },
    [`${generated}/possible-types.ts`]: shared.generates['src/generated/possible-types.ts'],
    [`${generated}/type-policies.ts`]: shared.generates['src/generated/type-policies.ts'],
    [`${generated}/graphcache.ts`]: shared.generates['src/generated/graphcache.ts'],
  },
};

export default config;

/** The operations as they are sent, each a constant: `chatTurn` of the operation ChatTurn. */
export function describeOperations(folder: string, path: string): string {
  const text = readFileSync(join(folder, path), 'utf8');
  return Object.entries(separateOperations(parse(text)))
    .map(([name, document]) => {
      const constant = `${name.charAt(0).toLowerCase()}${name.slice(1)}Document`;
      return `export const ${constant} = ${JSON.stringify(stripIgnoredCharacters(print(document)))};`;
    })
    .join('\n');
}
