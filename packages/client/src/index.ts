export { type ChatTurnInput, type TurnEvent, turnDocument } from './events.ts';
export type { TurnCall, TurnError, TurnHandoff, TurnMessage, TurnState, TurnStatus } from './state.ts';
export {
  createTurn,
  type FollowedFrom,
  followRun,
  ServerError,
  type Turn,
  type TurnOptions,
  type TurnSocket,
} from './turn.ts';
