/** A file that was uploaded with an operation. It refers to the body of the request: there is no second copy in memory. */
export class UploadedFile {
  // Private, so that code that walks through JSON does not walk through 25 MB byte by byte.
  readonly #data: Buffer;
  readonly #name: string;
  readonly #mediaType: string;

  constructor(
    data: Buffer,
    { name = '', mediaType = '' }: { readonly name?: string; readonly mediaType?: string } = {},
  ) {
    this.#data = data;
    this.#name = name;
    this.#mediaType = mediaType;
  }

  /** The content, as it was sent. */
  get data(): Buffer {
    return this.#data;
  }

  /** The name that the client gave it; empty: none. */
  get name(): string {
    return this.#name;
  }

  /** The media type that the client gave it, which may be wrong; empty: none. */
  get mediaType(): string {
    return this.#mediaType;
  }
}
