import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';

/**
 * Operations come as JSON and in no other way: forms and plain text are what a page of another site can send with no
 * preflight (CSRF), and application/json always asks the browser first. That they come as POST is a matter of http.ts.
 */
export function useStrictRequests(): Plugin {
  return {
    onRequestParse({ request }) {
      const [mediaType = ''] = (request.headers.get('content-type') ?? '').split(';');
      if (mediaType.trim().toLowerCase() === 'application/json') return;
      throw new GraphQLError('The body of an operation is application/json.', {
        extensions: { code: 'BAD_USER_INPUT', http: { status: 415 } },
      });
    },
  };
}
