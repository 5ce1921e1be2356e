import { answerModeration } from '../../../src/demo/moderation.ts';
import { answerClientSecret } from '../../../src/demo/realtime.ts';
import { type ModelServer, startModelServer } from '../../../src/demo/server.ts';
import type { ReceivedRequest } from '../../../src/demo/steps.ts';
import { type FaultyStep, playFaulty } from './faults.ts';
import { findRefusal } from './strict-history.ts';

/** A step of a test's script. */
export interface TestStep extends FaultyStep {
  /** What the request must be like. What it throws is answered with 500 and thrown again by `assertDone`. */
  readonly expect?: (request: ReceivedRequest) => void;
  /** Which request it is for, where turns run at once. Unset: whichever comes. The first unused step that matches answers. */
  readonly match?: (request: ReceivedRequest) => boolean;
}

/** A scripted model: the server, what it was asked, and whether all went by the script. */
export interface ScriptedModel extends AsyncDisposable {
  /** The base URL, ending in /v1. */
  readonly url: string;
  /** Every request, in the order of arrival. */
  readonly requests: readonly ReceivedRequest[];
  /** Answers POST /v1/moderations from now on; until then, as the demo model does. */
  readonly moderateWith: (answer: ModerationAnswer) => void;
  /** Answers POST /v1/realtime/client_secrets from now on; until then, as the demo model does. */
  readonly mintWith: (answer: SecretAnswer) => void;
  /** Adds steps to the end of the script. */
  readonly add: (...steps: readonly TestStep[]) => void;
  /** Resolves when at least `count` requests have come. */
  readonly received: (count: number) => Promise<void>;
  /** @throws when a request was unexpected or wrong, or a step was not used */
  readonly assertDone: () => void;
  /** Closes the server without asserting anything, e.g. to play a provider that is down. */
  readonly close: () => Promise<void>;
}

/** How the Moderations API answers. */
type ModerationAnswer = NonNullable<Parameters<typeof startModelServer>[0]['moderate']>;
/** How secrets of realtime sessions are minted. */
type SecretAnswer = NonNullable<Parameters<typeof startModelServer>[0]['mint']>;

/**
 * Starts a model that answers by a script, each step once, and fails on what is not in it. It also fails on every history
 * that a strict server would refuse. Disposing of it closes it and calls `assertDone`.
 */
export async function createScriptedModel(steps: readonly TestStep[] = []): Promise<ScriptedModel> {
  const unused = [...steps];
  const requests: ReceivedRequest[] = [];
  const wrongs: unknown[] = [];
  const waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();

  let moderation: ModerationAnswer = answerModeration;
  let secret: SecretAnswer = answerClientSecret;
  const server: ModelServer = await startModelServer<FaultyStep>({
    play: playFaulty,
    moderate: (...request) => moderation(...request),
    mint: (...request) => secret(...request),
    respond: (request) => {
      requests.push(request);
      for (const wait of waiting) {
        if (requests.length >= wait.count) {
          waiting.delete(wait);
          wait.resolve();
        }
      }
      try {
        const refusal = findRefusal(request.api, request.body);
        if (refusal !== null) throw new Error(`A strict server refuses the request: ${refusal}`);
        return takeStep(unused, request);
      } catch (error) {
        wrongs.push(error);
        return { misbehave: { status: 500, body: { error: { message: String(error), code: 'script' } } } };
      }
    },
  });

  const assertDone = () => {
    if (wrongs.length > 0) throw wrongs[0];
    if (unused.length > 0) throw new Error(`${unused.length} scripted steps were not used: ${JSON.stringify(unused)}`);
  };
  return {
    url: server.url,
    requests,
    moderateWith: (answer) => {
      moderation = answer;
    },
    mintWith: (answer) => {
      secret = answer;
    },
    add: (...more) => void unused.push(...more),
    received: (count) => {
      if (requests.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.add({ count, resolve }));
    },
    assertDone,
    close: server.close,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      assertDone();
    },
  };
}

function takeStep(unused: TestStep[], request: ReceivedRequest): FaultyStep {
  const index = unused.findIndex((step) => step.match?.(request) ?? true);
  const [step] = index < 0 ? [] : unused.splice(index, 1);
  if (step === undefined) {
    throw new Error(`The scripted model did not expect this request: ${JSON.stringify(request.messages.at(-1))}`);
  }
  step.expect?.(request);
  return step;
}
