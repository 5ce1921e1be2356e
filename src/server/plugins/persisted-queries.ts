import { GraphQLError } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { z } from 'zod';
import type { PersistedDocuments } from '../requests/persisted-documents.ts';

const documentParams = z.object({ documentId: z.string().nullish() });

/** Finds the document of a request that has the id of a document in place of it. (Sockets: see sockets/protocol.ts.) */
export function usePersistedQueries(documents: PersistedDocuments): Plugin<Partial<YogaInitialContext>> {
  return {
    onParams({ params, setParams }) {
      const { documentId } = documentParams.parse(params);
      const query = documents.find({ query: params.query, extensions: params.extensions, documentId });
      if (query !== undefined && query !== params.query) setParams({ ...params, query });
    },
    // A GET may be repeated by anybody on the way, and a subscription may start a turn. (Yoga refuses mutations itself.)
    onSubscribe({ args, setResultAndStopExecution }) {
      if (args.contextValue.request?.method !== 'GET') return;
      const http = { status: 405, headers: { allow: 'POST' } };
      const extensions = { code: 'BAD_USER_INPUT', http };
      setResultAndStopExecution({ errors: [new GraphQLError('Send subscriptions with POST.', { extensions })] });
    },
  };
}
