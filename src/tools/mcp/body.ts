import { AnswerRefusedError, describeTooLong } from './failures.ts';

/** How much of a body is read, and the callback for its end. */
export interface BodyBounds {
  /** The maximum size of one message in bytes: of the whole body, or of one event if the body is a stream. */
  readonly maxBytes: number;
  /** The maximum size of a whole stream in bytes. */
  readonly maxStreamBytes: number;
  /** The request that this stream answers. Null if the body is not such a stream. */
  readonly answers: AnswerStream | null;
  /** Called once when reading ends, with whether it ended because the body was too long. */
  readonly onOver: (tooLong: boolean) => void;
}

/** A stream that answers a request. */
interface AnswerStream {
  readonly id: string | number;
  readonly cancelled: AbortSignal;
  /** Called once when the stream ends for any reason, with whether one of its events had an id. */
  readonly lose: (id: string | number, resumable: boolean) => void;
}

/** Whether a response is a stream of events. */
export function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true;
}

/** Returns the response with a body that fails if it is too long. */
export function boundBody(response: Response, bounds: BodyBounds): Response {
  const { maxBytes, maxStreamBytes, answers, onOver } = bounds;
  if (response.body === null) {
    onOver(false);
    return response;
  }
  const reader = response.body.getReader();
  const events = isEventStream(response) ? new EventSizes() : null;
  let bytes = 0;
  let resumable = false;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) {
            onOver(false);
            answers?.lose(answers.id, resumable);
            return controller.close();
          }
          bytes += value.length;
          resumable ||= /^id:/m.test(Buffer.from(value).toString('latin1', 0, 256));
          if ((events?.add(value) ?? bytes) > maxBytes) throw new AnswerRefusedError(describeTooLong(maxBytes));
          if (bytes > maxStreamBytes) throw new AnswerRefusedError(describeTooLong(maxStreamBytes));
          return controller.enqueue(value);
        } catch (error) {
          void reader.cancel().catch(() => {});
          const refused = error instanceof AnswerRefusedError;
          onOver(refused);
          // The SDK resumes a stream that broke off unless it saw a result; this one must not be resumed.
          if (answers && (refused || answers.cancelled.aborted)) {
            controller.enqueue(endStream(answers.id, refused ? error.message : 'The request was cancelled.'));
            return controller.close();
          }
          answers?.lose(answers.id, resumable);
          controller.error(error);
        }
      },
      cancel: (reason) => {
        onOver(false);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  const { status, headers } = response;
  return new Response(body, { status, headers });
}

/** The last event of a stream that we close. It is ignored if nobody waits for it any more. */
function endStream(id: string | number, text: string): Uint8Array {
  const result = { isError: true, content: [{ type: 'text', text }] };
  return Buffer.from(`\n\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
}

/** Measures the events of a stream. */
class EventSizes {
  /** Bytes since the end of the last event. */
  #open = 0;
  /** The last character of the previous piece: the blank line that ends an event may be split between two pieces. */
  #edge = '';

  /** @returns the size in bytes of the longest event that this piece belongs to */
  add(piece: Uint8Array): number {
    const text = this.#edge + Buffer.from(piece).toString('latin1');
    let from = -this.#open + this.#edge.length;
    let longest = 0;
    for (const { 0: blank, index } of text.matchAll(/(?:\r\n|\n|\r(?!\n)){2}/g)) {
      longest = Math.max(longest, index - from);
      from = index + blank.length;
    }
    this.#open = text.length - from;
    this.#edge = text.slice(-3);
    return Math.max(longest, this.#open);
  }
}
