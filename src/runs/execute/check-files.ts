import type { CheckText } from '../../attachments/fetch/address-reader.ts';
import type { GuardReport, GuardResult } from '../../engine/guard.ts';
import { checkText } from '../../guardrails/check-text.ts';
import type { PlannedGuardrail } from '../../guardrails/planned.ts';
import { QuestionBudget } from '../../guardrails/questions.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { storeInputChecks } from './store-checks.ts';

/** What guardrails have found in files that were read from their addresses. The engine reports it. */
export type FileFindings = Pick<GuardReport, 'results' | 'blockedBy'>;

/**
 * The guardrails that check what is read at the addresses of files, before it is stored: what they replace, nobody is given. Uploads
 * were checked with their message.
 */
export class FileChecks {
  readonly #results: GuardResult[] = [];
  #blockedBy: string | null = null;
  /** Unset: nothing checks it. */
  readonly check: CheckText | undefined;

  /** @param agentId the row id of the agent whose guardrails they are, or who answers */
  constructor(
    runtime: RunRuntime,
    { run, signal }: Pick<LaunchRequest, 'run'> & { readonly signal: AbortSignal },
    agentId: string,
    guards: readonly PlannedGuardrail[],
  ) {
    if (guards.length === 0) return;
    const { timeoutMs } = runtime.agents.guardrails;
    const options = { stage: 'INPUT', agentId, timeoutMs, signal, questions: new QuestionBudget() } as const;
    this.check = async (text) => {
      const { value, results, calls, blockedBy } = await checkText(guards, text, options);
      this.#results.push(...results);
      this.#blockedBy ??= blockedBy;
      await storeInputChecks(runtime, run, { results, calls, isOfFile: true }, true);
      return blockedBy === null ? value : null;
    };
  }

  /** What they have found so far. */
  get findings(): FileFindings {
    return { results: this.#results, blockedBy: this.#blockedBy };
  }
}
