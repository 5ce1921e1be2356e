import { type ReactNode, useEffect } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import { RunDetailsFragmentDoc, RunDocument } from '../generated/graphql.ts';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { Outcome } from './outcome.tsx';
import { formatTime, makeTimeline } from './timeline.ts';
import { Timeline } from './timeline-view.tsx';

const back = { to: ['runs'], title: 'Runs' };

/** One run: its outcome, its usage, and what was at work when. */
export function RunView({ id }: { readonly id: string }) {
  const [{ data, error }, read] = useQuery({ query: RunDocument, variables: { id } });
  const run = readFragment(RunDetailsFragmentDoc, data?.run);
  const isOpen = run != null && run.finishedAt == null;
  useEffect(() => {
    if (!isOpen) return;
    const timer = setInterval(() => read({ requestPolicy: 'network-only' }), 3_000);
    return () => clearInterval(timer);
  }, [isOpen, read]);
  if (!run) {
    return (
      <Page title="Run" back={back}>
        {error ? <Problem error={error} /> : <Loading />}
      </Page>
    );
  }
  const { usage, conversation, routingDecision } = run;
  const bars = makeTimeline(run, Date.now());
  const took = Math.max(0, ...bars.map(({ end }) => end));
  return (
    <Page title={run.userMessage?.preview ?? 'A run without a message'} back={back}>
      {run.error && (
        <p className="problem">
          {run.error.code}: {run.error.message}
        </p>
      )}
      <dl className="facts">
        <Fact name="Outcome">
          <Outcome status={run.status} />
        </Fact>
        <Fact name="Began">{formatMoment(run.createdAt)}</Fact>
        <Fact name={isOpen ? 'Takes' : 'Took'}>{formatTime(took)}</Fact>
        {run.agent && <Fact name="Last agent">{run.agent.name}</Fact>}
        {conversation && (
          <Fact name="Conversation">
            <a href={`/#${conversation.id}`}>{conversation.title}</a>
          </Fact>
        )}
        {routingDecision && (
          <Fact name="Routed to">
            {routingDecision.selectedAgents.map(({ name }) => name).join(', ') || 'nobody'}: {routingDecision.reasoning}
          </Fact>
        )}
      </dl>
      <Section title="Timeline">
        <Timeline bars={bars} />
      </Section>
      <Section title="Usage">
        <dl className="facts">
          <Fact name="Model calls">{usage.modelCalls.toLocaleString()}</Fact>
          <Fact name="Tokens read">
            {usage.inputTokens.toLocaleString()}, {usage.cachedInputTokens.toLocaleString()} of them from a cache
          </Fact>
          <Fact name="Tokens written">
            {usage.outputTokens.toLocaleString()}, {usage.reasoningTokens.toLocaleString()} of them thoughts
          </Fact>
        </dl>
        {!usage.complete && <p className="hint">Not every call has reported its tokens: there were more.</p>}
      </Section>
    </Page>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd dir="auto">{children}</dd>
    </div>
  );
}
