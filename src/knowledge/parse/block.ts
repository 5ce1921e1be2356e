/** A piece of a document as it is structured: what chunks are made of. */
export type Block =
  | { readonly kind: 'heading' /** From 1, the highest. */; readonly level: number; readonly text: string }
  | { readonly kind: 'paragraph' | 'code'; readonly text: string }
  /** The first row is its head. */
  | { readonly kind: 'table'; readonly rows: readonly string[] };

/** A document cannot be indexed as it is: trying again would not help. The message is a sentence for the one who added it. */
export class UnreadableDocumentError extends Error {
  override readonly name = 'UnreadableDocumentError';
}
