import type { PGlite } from '@electric-sql/pglite';
import { PanicDetector } from './panic-detector.ts';

const sync = 'S'.charCodeAt(0);
const query = 'Q'.charCodeAt(0);
const flush = 'H'.charCodeAt(0);
const terminate = 'X'.charCodeAt(0);
/** Start-up messages begin with their length, whose first byte is 0, instead of a type. */
const startUp = 0;

/**
 * Executes the messages of one connection together, up to their Sync.
 *
 * The cause: pglite-socket (0.2.17) passes messages on one by one in the order of arrival, whichever connection they
 * belong to, and prefers one connection only while a transaction is open. But all connections share one session of PGlite,
 * so the Parse, Bind and Execute of one connection share its unnamed portal with those of another: they fail (34000), or
 * return the rows of the other. Here a sequence counts as a transaction, too. (PostgreSQL's manual, "Extended Query": a
 * sequence ends with Sync, and nothing has to be answered before it except after a Flush.) This can be removed when
 * https://github.com/electric-sql/pglite/issues/1046 is closed; but executing a sequence in one call also takes about a
 * third less CPU.
 *
 * @param onPanic called with the message of a PANIC: nothing that PGlite answers from then on can be trusted
 */
export function serializeConnections(postgres: PGlite, onPanic: (message: string) => void): PGlite {
  let waiting: Uint8Array[] = [];
  let isMidSequence = false;
  const detector = new PanicDetector();
  const isInTransaction = () => isMidSequence || postgres.isInTransaction();
  const execProtocolRawStream: PGlite['execProtocolRawStream'] = async (message, options) => {
    const type = message[0];
    isMidSequence = type !== sync && type !== query && type !== terminate && type !== startUp;
    if (isMidSequence && type !== flush) {
      // The socket reuses the memory of a message for the next one.
      waiting.push(Uint8Array.from(message));
      return;
    }
    const sequence = waiting.length === 0 ? message : Buffer.concat([...waiting, message]);
    waiting = [];
    await postgres.execProtocolRawStream(sequence, {
      ...options,
      onRawData: (data) => {
        options?.onRawData?.(data);
        const panic = detector.read(data);
        if (panic !== null) onPanic(panic);
      },
    });
  };
  // Runs when a client disconnects in the middle of a sequence: its work is rolled back, and its sequence is over.
  const exec: PGlite['exec'] = (...args) => {
    isMidSequence = false;
    waiting = [];
    return postgres.exec(...args);
  };
  return new Proxy(postgres, {
    get(target, name) {
      if (name === 'isInTransaction') return isInTransaction;
      if (name === 'execProtocolRawStream') return execProtocolRawStream;
      if (name === 'exec') return exec;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
