/** How many operations of one socket may be refused within the window before the socket is closed. */
const maxRefusals = 30;
const windowMs = 60_000;

/**
 * Creates a function that counts refused operations of one socket: malformed or invalid documents, and missing tokens.
 * Refusing an operation costs the server more than sending it costs the client.
 * @param onTooMany called when there were too many within a minute
 */
export function createRefusalCount(onTooMany: () => void): () => void {
  let windowStart = performance.now();
  let count = 0;
  return () => {
    if (performance.now() - windowStart > windowMs) {
      windowStart = performance.now();
      count = 0;
    }
    count += 1;
    if (count > maxRefusals) onTooMany();
  };
}
