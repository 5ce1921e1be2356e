/** The bounds of realtime sessions. What the database checks has more room. */
export const realtimeLimits = {
  /** Sessions of one user that have not ended. */
  openSessions: 20,
  /** Items of one session. */
  itemsOfSession: 5_000,
  /** Items of one batch, and bytes of their texts together. */
  itemsOfBatch: 100,
  bytesOfBatch: 1_000_000,
  /** So many messages at the end of a conversation may move, to make room for an item that arrives late. */
  movedMessages: 50,
  /** How long a call that was begun with a key can last, in milliseconds: that of OpenAI. */
  callMs: 3_600_000,
  /** How long a session can be read after its end, in milliseconds. */
  keptMs: 7 * 24 * 3_600_000,
} as const;
