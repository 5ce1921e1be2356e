/** An answer cut into what goes over the wire, piece by piece. */
export interface AnswerFrames {
  /** Sent with the headers. */
  readonly head: string;
  /** Paced, one by one. */
  readonly tokens: readonly string[];
  /** Sent with the last token. */
  readonly tail: string;
}

/** One server-sent event without a name. */
export function frameData(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** One server-sent event with a name. */
export function frameEvent(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
