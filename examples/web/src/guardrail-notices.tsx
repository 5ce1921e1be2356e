import type { GuardrailViewFragment } from './generated/graphql.ts';
import { describeFinding, type Finding } from './guardrail-words.ts';
import { Icon } from './icons.tsx';

interface NoticeProps extends Finding {
  readonly reasoning: string | null;
}

/** What a guardrail has found, and what has happened with the text. */
export function GuardrailNotice({ reasoning, ...finding }: NoticeProps) {
  return (
    <p className="notice">
      <Icon name="shield" />
      <span>
        <bdi>{describeFinding(finding)}</bdi>
        {reasoning && <bdi> {reasoning}</bdi>}
      </span>
    </p>
  );
}

/** What guardrails have found, of all that they have looked at; the same is said once. */
export function GuardrailNotices({ results }: { readonly results: readonly GuardrailViewFragment[] }) {
  return [...findings(results)].map(([key, notice]) => <GuardrailNotice key={key} {...notice} />);
}

/** What was flagged, by names that tell findings apart. */
function findings(results: readonly GuardrailViewFragment[]): ReadonlyMap<string, NoticeProps> {
  return new Map(
    results
      .filter(({ tripwireTriggered }) => tripwireTriggered)
      .map(({ guardrail, stage, decision }) => {
        const { action = 'ALLOW', reasoning = null } = decision ?? {};
        const notice = { guardrail, stage, action, reasoning: reasoning ?? null };
        return [nameOf(notice), notice];
      }),
  );
}

/** Whether a finding of a turn stands among those of its stored message. */
export function isAmong(notice: NoticeProps, results: readonly GuardrailViewFragment[]): boolean {
  return findings(results).has(nameOf(notice));
}

function nameOf({ guardrail, stage, action }: NoticeProps): string {
  return `${guardrail} ${stage} ${action}`;
}
