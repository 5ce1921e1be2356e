import { replyTo } from './replies.ts';
import { type ModelServer, startModelServer } from './server.ts';
import { type ReceivedRequest, type ScriptedStep, textTokensOf } from './steps.ts';

/** The model name that the demo model goes by. */
export const demoModelName = 'switchboard-demo';

export interface DemoModelOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** Milliseconds from token to token; by default 30, the pace of a middling real model. 0 sends all of them immediately. */
  readonly delayMs?: number;
  /** Milliseconds before the first token; by default 150. */
  readonly firstTokenDelayMs?: number;
}

/**
 * Starts the demo model: an OpenAI-compatible server on loopback with scripted, deterministic replies, so that
 * everything works before anybody has an API key. Any API key will do.
 * @throws when the port is taken
 */
export async function startDemoModel(options: DemoModelOptions = {}): Promise<ModelServer> {
  const { port = 0, delayMs = 30, firstTokenDelayMs = 150 } = options;
  return await startModelServer({
    port,
    models: [demoModelName],
    respond: (request) => ({ delayMs, firstTokenDelayMs, ...cutToLimit(replyTo(request), request) }),
  });
}

/** Keeps to the token limit of the request, as a real model would. */
function cutToLimit(step: ScriptedStep, request: ReceivedRequest): ScriptedStep {
  const tokens = textTokensOf(step);
  if (request.maxTokens === null || tokens.length <= request.maxTokens) return step;
  return { ...step, text: tokens.slice(0, request.maxTokens), finish: 'length' };
}
