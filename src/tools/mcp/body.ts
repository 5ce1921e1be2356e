import { AnswerRefusedError, describeTooLong } from './failures.ts';

/** How much of a body is read, and who is told how it ends. */
export interface BodyBounds {
  /** The most bytes of one message: of the whole body, or of one event where it is a stream. */
  readonly maxBytes: number;
  /** The most bytes of a stream in all. */
  readonly maxStreamBytes: number;
  /** A stream that answers a request; null: it is none. */
  readonly answers: AnswerStream | null;
  /** Is told when nothing more is read of it, and whether that is because it was too long. */
  readonly onOver: (tooLong: boolean) => void;
}

/** A stream that answers a request. */
interface AnswerStream {
  readonly id: string | number;
  readonly cancelled: AbortSignal;
  /** Is told when it has ended, however it did, and whether an event in it had an id. */
  readonly lose: (id: string | number, resumable: boolean) => void;
}

/** Whether a response is a stream of events. */
export function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true;
}

/** The response with a body that fails when it is too long. */
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
          // It is not to be taken up again: the SDK does so unless there was a result.
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

/** The last event of a stream that is given up. If nobody waits for it any more, it is ignored. */
function endStream(id: string | number, text: string): Uint8Array {
  const result = { isError: true, content: [{ type: 'text', text }] };
  return Buffer.from(`\n\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
}

/** How long the events of a stream are. */
class EventSizes {
  /** Bytes since the last event has ended. */
  #open = 0;
  /** The last of what came before: the blank line that ends an event may come in two pieces. */
  #edge = '';

  /** @returns bytes of the longest event that this piece has a part of */
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
