import type { Viewer } from '../../../src/auth/viewer.ts';
import { parseTurnInput, type StoredTurn } from '../../../src/runs/input.ts';
import { compileTurn, conversationForTurn } from '../../../src/runs/plan/plan-turn.ts';
import { createBillingConversation } from '../../approvals/decide.ts';
import { startTestApp } from '../../support/app.ts';
import { openSocketClient } from '../../support/chat.ts';
import { createTestDatabase } from '../../support/database/database.ts';
import { openBranching, type Rewrite } from './branching-database.ts';
import { type Exploration, explore } from './explore.ts';
import type { Budget, Memory, ProcessName, World } from './world.ts';

/** What is explored: who starts turns with which keys, how they go on, and what may go wrong. */
interface Scenario {
  readonly starts: readonly (readonly [ProcessName, key: string])[];
  /** How runs go on from their start, by number. One that begins with `ask` asks a person. */
  readonly scripts: readonly ReturnType<World['script']>[];
  readonly budget: Partial<Budget>;
}

/** Where scenarios are explored. */
export interface OpenWorld extends AsyncDisposable {
  /**
   * Explores a scenario from the moment when nothing has begun.
   * @param rewrite plants a fault into the statements
   * @returns what was found, and how many statements were changed
   */
  explore(scenario: Scenario, rewrite?: Rewrite): Promise<Exploration & { readonly rewritten: number }>;
}

const nothing: Budget = { total: 0, crashes: 0, stalls: 0, lostAnswers: 0, releases: 0, cancels: 0, expiries: 0 };
const stored: StoredTurn = {
  agentId: null,
  onDisconnect: 'CONTINUE',
  model: null,
  temperature: null,
  maxTokens: null,
  roles: [],
};

/** Opens a database in which alice has a conversation whose agent may refund orders. */
export async function openWorld(): Promise<OpenWorld> {
  await using opening = new AsyncDisposableStack();
  const { url } = opening.use(await createTestDatabase());
  // Its background jobs see nothing of what is explored: that is one transaction, and never committed.
  const server = opening.use(await startTestApp({ databaseUrl: url }));
  const { app } = server;
  const alice = await openSocketClient(server, 'alice');
  const publicId = await createBillingConversation(alice);
  const inputOf = (key: string) =>
    parseTurnInput({ conversationId: publicId, content: 'Refund 1042', idempotencyKey: key });
  const { conversationId } = inputOf('none');
  const viewer: Viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Infinity };
  const where = { id: conversationId };
  const conversation = await app.db.conversation.findUniqueOrThrow({ where, include: conversationForTurn });
  const turn = await compileTurn(viewer, app.runs, conversation, stored);
  const database = opening.use(await openBranching(url));
  const opened = opening.move();
  return {
    async explore({ starts, scripts, budget }, rewrite) {
      database.rewrite = rewrite ?? null;
      const before = database.rewritten;
      const world: World = {
        database,
        base: app.runs,
        viewer,
        conversationId,
        newTurn: (key) => ({
          viewer,
          stored,
          turn,
          input: inputOf(key),
          attachedBases: null,
          messageStatus: 'COMPLETE',
        }),
        script: (number) => scripts[number - 1] ?? { phase: 'end', end: 'COMPLETED' },
      };
      const processMemory = () => ({ generation: 1, held: new Map(), doomed: new Map(), promotes: false });
      const memory: Memory = {
        processes: { A: processMemory(), B: processMemory() },
        sent: [],
        cancelWanted: new Set(),
        toStart: starts.map(([process, key]) => ({ process, key, isLocked: false })),
        approved: false,
        budget: { ...nothing, ...budget },
      };
      const found = await explore(world, memory);
      return { ...found, rewritten: database.rewritten - before };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
