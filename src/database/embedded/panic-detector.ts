const errorResponse = 'E'.charCodeAt(0);
/** A type byte and a length of four bytes, which counts itself. */
const headerBytes = 5;
/** An error is read up to this many bytes: its severity comes first. */
const maxErrorBytes = 4_096;

/**
 * Finds a PANIC in what PostgreSQL sends ("Message Formats" in its manual): an error after which its memory is no longer
 * consistent, such as a log that could not be written because the disk is full. A PostgreSQL server restarts after it;
 * PGlite continues, returns nonsense, and then does not return from a statement.
 */
export class PanicDetector {
  /** The beginning of the current message, as far as it is needed. */
  #head: number[] = [];
  /** How many bytes of the current message are still to come, once its header is complete. */
  #left = 0;

  /** Reads the next bytes. @returns the message of a PANIC, if one is complete; else null */
  read(data: Uint8Array): string | null {
    for (let at = 0; at < data.length; ) {
      if (this.#left === 0) {
        this.#head.push(data[at] ?? 0);
        at += 1;
        if (this.#head.length < headerBytes) continue;
        this.#left = Buffer.from(this.#head).readUInt32BE(1) - 4;
      }
      const count = Math.min(this.#left, data.length - at);
      if (this.#head[0] === errorResponse) {
        const wanted = Math.min(count, maxErrorBytes - this.#head.length);
        this.#head.push(...data.subarray(at, at + wanted));
      }
      at += count;
      this.#left -= count;
      if (this.#left > 0) continue;
      const panic = this.#head[0] === errorResponse ? readPanic(Buffer.from(this.#head).subarray(headerBytes)) : null;
      this.#head = [];
      if (panic !== null) return panic;
    }
    return null;
  }
}

/** The message of an error with the severity PANIC. Each field is a letter and a text that ends with a zero. */
function readPanic(body: Buffer): string | null {
  const fields = new Map<string, string>();
  for (const field of body.toString('utf8').split('\0')) if (field !== '') fields.set(field.charAt(0), field.slice(1));
  return fields.get('V') === 'PANIC' ? (fields.get('M') ?? 'PANIC') : null;
}
