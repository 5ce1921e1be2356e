import { createHash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { ForbiddenError, NotFoundError } from '../../api/errors.ts';
import type { TrustedDocuments } from './trusted-documents.ts';

/** How many documents of clients are stored, and how many characters they have together. */
const maxDocuments = 1_000;
const maxCharacters = 5_000_000;

/** What Apollo's link looks for: it sends the document then. */
export const persistedQueryNotFound = 'PersistedQueryNotFound';

const sha256Hex = /^[0-9a-f]{64}$/;
const persistedQuery = z.object({ version: z.literal(1), sha256Hash: z.string().min(1).max(200) });

/** What an operation says of its document. */
interface DocumentParams {
  readonly query?: string | null | undefined;
  /** The id of a trusted document, as "GraphQL over HTTP" has it: with or without `sha256:` before it. */
  readonly documentId?: string | null | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * The documents that clients may name in place of sending them. Trusted documents come from the operator. Others are
 * stored as Apollo's link for automatic persisted queries does it: the client sends the SHA-256 of a document, and the
 * document itself only if the server does not know it. Those are in this process, the ones that were used last; only
 * clients with a valid token get here.
 */
export class PersistedDocuments {
  readonly #trusted: TrustedDocuments | null;
  readonly #trustedOnly: boolean;
  readonly #automatic = new LRUCache<string, string>({
    max: maxDocuments,
    maxSize: maxCharacters,
    sizeCalculation: (document) => Math.max(document.length, 1),
  });

  /** @param options.trustedOnly whether nothing but trusted documents is executed */
  constructor(options: { readonly trusted: TrustedDocuments | null; readonly trustedOnly: boolean }) {
    this.#trusted = options.trusted;
    this.#trustedOnly = options.trustedOnly;
  }

  /**
   * The document of an operation.
   * @returns undefined if the operation has neither a document nor an id
   * @throws {GraphQLError} `PersistedQueryNotFound`, after which Apollo's link sends the document; also for a wrong hash
   * @throws {NotFoundError} for a documentId that is not known
   * @throws {ForbiddenError} if the document is not trusted, and only trusted ones are executed
   */
  find(params: DocumentParams): string | undefined {
    const document = this.#resolve(params);
    if (document !== undefined && this.#trustedOnly && !this.#trusted?.holds(document)) {
      throw new ForbiddenError(
        'This server executes trusted documents only. Add the document to TRUSTED_DOCUMENTS, and restart the server.',
      );
    }
    return document;
  }

  #resolve({ query, documentId, extensions }: DocumentParams): string | undefined {
    if (documentId) {
      const known = this.#get(documentId.replace(/^sha256:/, ''));
      if (known === undefined) {
        throw new NotFoundError('There is no document with this documentId. Add it to TRUSTED_DOCUMENTS.');
      }
      return known;
    }
    const extension: unknown = extensions?.persistedQuery;
    if (extension === undefined) return query || undefined;
    const { data } = persistedQuery.safeParse(extension);
    const hash = data?.sha256Hash ?? '';
    const trusted = this.#trusted?.find(hash);
    if (trusted !== undefined && (!query || query === trusted)) return trusted;
    if (!sha256Hex.test(hash)) {
      throw badRequest('extensions.persistedQuery must have version 1 and a sha256Hash in hexadecimal.', 400);
    }
    if (!query) {
      const known = this.#get(hash);
      // The status is that of Apollo's server.
      if (known === undefined) throw badRequest(persistedQueryNotFound, 200);
      return known;
    }
    if (createHash('sha256').update(query).digest('hex') !== hash) {
      throw badRequest('extensions.persistedQuery.sha256Hash is not the hash of the query.', 400);
    }
    if (!this.#trustedOnly) this.#automatic.set(hash, query);
    return query;
  }

  #get(id: string): string | undefined {
    return this.#trusted?.find(id) ?? this.#automatic.get(id);
  }
}

function badRequest(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status } } });
}
