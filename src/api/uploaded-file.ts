/** A file that was uploaded with an operation. It refers to the body of the request: there is no second copy in memory. */
export class UploadedFile {
  // Private, so that code that walks through JSON does not walk through 25 MB byte by byte.
  readonly #data: Buffer;

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** The content, as it was sent. */
  get data(): Buffer {
    return this.#data;
  }
}
