import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';

/** Reports a document that is nested deeper than the parser's stack as a syntax error, not as a failure of the server. */
export function useNestingLimit(): Plugin {
  return {
    onParse({ parseFn, setParseFn }) {
      setParseFn((source, options) => {
        try {
          return parseFn(source, options);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          throw new GraphQLError('Syntax Error: The document is nested too deeply.');
        }
      });
    },
  };
}
