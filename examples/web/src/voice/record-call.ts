/** A recording of both sides of a call, which nothing but this page has. */
export class Recording {
  readonly #context = new AudioContext();
  readonly #mix = this.#context.createMediaStreamDestination();
  readonly #pieces: Blob[] = [];
  readonly #recorder = new MediaRecorder(this.#mix.stream);

  constructor() {
    this.#recorder.addEventListener('dataavailable', ({ data }) => this.#pieces.push(data));
    this.#recorder.start(1_000);
  }

  /** Adds a side. */
  add(stream: MediaStream): void {
    if (stream.getAudioTracks().length > 0) this.#context.createMediaStreamSource(stream).connect(this.#mix);
  }

  /** Ends it. @returns the address of its file, until the page is closed */
  async end(): Promise<string> {
    const stopped = new Promise((resolve) => this.#recorder.addEventListener('stop', resolve, { once: true }));
    this.#recorder.stop();
    await stopped;
    await this.#context.close();
    return URL.createObjectURL(new Blob(this.#pieces, { type: this.#recorder.mimeType }));
  }
}
