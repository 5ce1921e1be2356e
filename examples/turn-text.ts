/** The two events of a turn that change what its messages say. */
export type TextEvent =
  | { readonly __typename: 'TextDelta'; readonly messageId: string; readonly offset: number; readonly delta: string }
  | { readonly __typename: 'TextRetracted'; readonly messageId: string; readonly length: number };

/**
 * The text of each message so far, by its id, kept up with the events of a turn. All that a front end needs to show a
 * turn as it is written, and to come back to it: offsets put whatever is sent twice in its place, so the texts are
 * right after a reconnection that replays the turn, and after one that goes on from the last seq.
 *
 * @param texts is changed; begin with an empty map, or with the contents of stored messages
 */
export function applyText(texts: Map<string, string>, event: TextEvent): void {
  texts.set(event.messageId, editText(texts.get(event.messageId) ?? '', event));
}

/** The text of one message after an event, for whoever keeps texts elsewhere, such as in a cache. */
export function editText(text: string, event: TextEvent): string {
  if (event.__typename === 'TextDelta') return text.slice(0, event.offset) + event.delta;
  return text.slice(0, event.length);
}
