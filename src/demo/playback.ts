import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnswerFrames } from './frames.ts';
import type { ReceivedRequest, ScriptedStep } from './steps.ts';
import type { Ticker } from './ticker.ts';

/** Frames that are written together when nothing paces them. */
const sliceLength = 64;

/** An answer that is ready to be written. */
export interface ModelAnswer<Step extends ScriptedStep = ScriptedStep> {
  readonly response: ServerResponse;
  readonly request: ReceivedRequest;
  readonly step: Step;
  /** The answer as a stream. */
  readonly frames: AnswerFrames;
  /** The answer as one JSON body. */
  readonly body: () => object;
  readonly ticker: Ticker;
}

/** Writes an answer at the pace of its step. Settles when no more will be written. */
export async function playAnswer({ response, request, step, frames, body, ticker }: ModelAnswer): Promise<void> {
  if (!request.stream) {
    await sleep((step.firstTokenDelayMs ?? 0) + (step.delayMs ?? 0) * frames.tokens.length);
    if (!response.destroyed) sendJson(response, 200, body());
    return;
  }
  openStream(response, frames);
  await playTokens(response, frames.tokens, step, step.firstTokenDelayMs ?? 0, ticker);
  if (!response.destroyed) response.end(frames.tail);
}

/** Writes the head of a stream. */
export function openStream(response: ServerResponse, frames: AnswerFrames): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.write(frames.head);
}

/**
 * Writes the tokens of a stream at the pace of its step.
 * @param firstMs milliseconds before the first of them
 */
export async function playTokens(
  response: ServerResponse,
  tokens: readonly string[],
  { delayMs = 0 }: ScriptedStep,
  firstMs: number,
  ticker: Ticker,
): Promise<void> {
  if (tokens.length === 0) {
    if (firstMs > 0) await sleep(firstMs);
    return;
  }
  if (delayMs === 0) {
    if (firstMs > 0) await sleep(firstMs);
    for (let at = 0; at < tokens.length && !response.destroyed; at += sliceLength) {
      if (!response.write(tokens.slice(at, at + sliceLength).join(''))) await waitForDrain(response);
    }
    return;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  let at = 0;
  const stop = ticker.pace(firstMs, delayMs, (due) => {
    response.write(due === 1 ? tokens[at] : tokens.slice(at, at + due).join(''));
    at += due;
    if (at < tokens.length) return true;
    resolve();
    return false;
  });
  const onClose = () => {
    stop();
    resolve();
  };
  response.once('close', onClose);
  await promise;
  response.off('close', onClose);
}

/** An error in the shape of the real APIs. */
export function errorBody(status: number, message: string): object {
  const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : type } };
}

/** Sends one JSON body. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function waitForDrain(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('drain', resolve);
  response.once('close', resolve);
  await promise;
  response.off('drain', resolve);
  response.off('close', resolve);
}
