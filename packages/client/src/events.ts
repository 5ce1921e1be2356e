import type { ChatTurnInput as SchemaInput, TurnCallFragment, TurnEventFragment } from './generated/operations.ts';

/** `ChatTurnInput` of the schema. {@link createTurn} makes the key if it is absent; the same key never starts a second turn. */
export type ChatTurnInput = Omit<SchemaInput, 'after' | 'idempotencyKey'> & { readonly idempotencyKey?: string };

/** A tool call, as the events of a turn hold it. */
export type EventCall = Readonly<TurnCallFragment>;

/** The events of a turn, as `operations.graphql` selects them. What the schema will have besides moves `seq` alone. */
export type TurnEvent = Readonly<TurnEventFragment>;
