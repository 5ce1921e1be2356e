import { createHash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

/** How many documents are stored, and how many characters they have together. */
const maxDocuments = 1_000;
const maxCharacters = 5_000_000;

const persistedQuery = z.object({ version: z.literal(1), sha256Hash: z.string().regex(/^[0-9a-f]{64}$/) });

/**
 * Automatic persisted queries, as Apollo's link sends them: the client sends the SHA-256 of a document, and the document
 * itself only if the server does not know it. Documents are stored in this process, those used last; only clients with a
 * valid token get here.
 */
export function usePersistedQueries(): Plugin {
  const documents = new LRUCache<string, string>({
    max: maxDocuments,
    maxSize: maxCharacters,
    sizeCalculation: (document) => Math.max(document.length, 1),
  });
  return {
    onParams({ params, setParams }) {
      const extension: unknown = params.extensions?.persistedQuery;
      if (extension === undefined) return;
      const { data } = persistedQuery.safeParse(extension);
      if (!data) throw httpError('extensions.persistedQuery must have version 1 and a sha256Hash in hexadecimal.', 400);
      const hash = data.sha256Hash;
      if (params.query === undefined) {
        const query = documents.get(hash);
        // Apollo's link looks for this very message and sends the document. The status is 200, as of Apollo's server.
        if (query === undefined) throw httpError('PersistedQueryNotFound', 200);
        setParams({ ...params, query });
        return;
      }
      if (createHash('sha256').update(params.query).digest('hex') !== hash) {
        throw httpError('extensions.persistedQuery.sha256Hash is not the hash of the query.', 400);
      }
      documents.set(hash, params.query);
    },
  };
}

function httpError(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status } } });
}
