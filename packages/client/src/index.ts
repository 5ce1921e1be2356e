export type { ChatTurnInput, TurnEvent } from './events.ts';
export { chatTurnDocument as turnDocument } from './generated/operations.ts';
export { request, ServerError, type TurnSocket } from './request.ts';
export { subscribeAndResume } from './resume.ts';
export type { TurnCall, TurnError, TurnGuardrail, TurnHandoff, TurnMessage, TurnState, TurnStatus } from './state.ts';
export { createTurn, type FollowedFrom, followRun, type Turn, type TurnOptions } from './turn.ts';
