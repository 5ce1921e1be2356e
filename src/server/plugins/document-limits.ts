import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import type { ASTVisitor, FieldNode, GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { QueryTooComplexError } from '../../api/errors.ts';

/** What one document may contain. GraphiQL's introspection query has a depth of 15 and about 350 tokens. */
const limits = { depth: 16, aliases: 30, aliasLength: 64, directives: 30, tokens: 4_000 } as const;

const reject = {
  onReject: [
    (_context: unknown, error: GraphQLError) => {
      throw new QueryTooComplexError(error.message.replace(/^Syntax Error: /, ''));
    },
  ],
};

/** Limits the length of aliases: an answer repeats each for every object of a list, and its other names are the schema's. */
function useAliasLengthLimit(): Plugin {
  const rule = (): ASTVisitor => ({
    Field({ alias }: FieldNode) {
      if (alias === undefined || alias.value.length <= limits.aliasLength) return;
      throw new QueryTooComplexError(
        `Alias length limit of ${limits.aliasLength} exceeded, found ${alias.value.length}. Use shorter aliases.`,
      );
    },
  });
  return { onValidate: ({ addValidationRule }) => addValidationRule(rule) };
}

/**
 * Limits depth, aliases, directives and tokens, which the document alone shows, with graphql-armor. Fields of
 * introspection and `__typename` count like all others.
 */
export function listDocumentLimits(): Plugin[] {
  return [
    maxTokensPlugin({ n: limits.tokens, ...reject }),
    maxDepthPlugin({ n: limits.depth, flattenFragments: true, ignoreIntrospection: false, ...reject }),
    maxAliasesPlugin({ n: limits.aliases, allowList: [], ...reject }),
    useAliasLengthLimit(),
    maxDirectivesPlugin({ n: limits.directives, ...reject }),
  ];
}
