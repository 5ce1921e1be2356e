import { type ReactNode, useEffect } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  OwnRunDocument,
  type OwnRunQuery,
  type RunTimesFragment,
  RunTimesFragmentDoc,
  TenantRunDocument,
  type TenantRunQuery,
} from '../generated/graphql.ts';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { Outcome } from './outcome.tsx';
import { type Bar, formatTime, makeTimeline } from './timeline.ts';
import { Timeline } from './timeline-view.tsx';

const back = { to: ['runs'], title: 'Runs' };

/** One run: its outcome, its usage, and what was at work when; of the viewer's own ones also what was said. */
export function RunView({ id }: { readonly id: string }) {
  const [{ data, error }, read] = useQuery({ query: TenantRunDocument, variables: { id } });
  const run = data?.tenantRun;
  const isOwn = run != null && run.userId === data?.viewer.userId;
  const [{ data: own, error: ownError }, readOwn] = useQuery({
    query: OwnRunDocument,
    variables: { id },
    pause: !isOwn,
  });
  const times = readFragment(RunTimesFragmentDoc, run);
  const isOpen = times != null && times.finishedAt == null;
  useEffect(() => {
    if (!isOpen) return;
    const timer = setInterval(() => {
      read({ requestPolicy: 'network-only' });
      if (isOwn) readOwn({ requestPolicy: 'network-only' });
    }, 3_000);
    return () => clearInterval(timer);
  }, [isOpen, isOwn, read, readOwn]);
  if (!run || !times || (isOwn && !own)) {
    const problem = error ?? ownError;
    return (
      <Page title="Run" back={back}>
        {problem ? <Problem error={problem} /> : <Loading />}
      </Page>
    );
  }
  const bars = makeTimeline(times, Date.now());
  const said = own?.run;
  return (
    <Page title={said?.userMessage?.preview ?? `A run of ${run.userId}`} back={back}>
      {run.errorCode && (
        <p className="problem">
          {run.errorCode}
          {said?.error && `: ${said.error.message}`}
        </p>
      )}
      {!isOwn && <p className="hint">What was said in it is for {run.userId} alone.</p>}
      <dl className="facts">
        <Fact name="Outcome">
          <Outcome status={run.status} />
        </Fact>
        <Fact name="User">{run.userId}</Fact>
        <Fact name="Began">{formatMoment(run.createdAt)}</Fact>
        <Fact name={isOpen ? 'Takes' : 'Took'}>{formatLength(times, bars)}</Fact>
        {run.agent?.name && <Fact name="Last agent">{run.agent.name}</Fact>}
        {run.resumedCount > 0 && <Fact name="Taken over">{run.resumedCount.toLocaleString()}</Fact>}
        {said && <OwnFacts run={said} />}
      </dl>
      <Section title="Timeline">
        <Timeline bars={bars} />
      </Section>
      <Section title="Usage">
        <Usage usage={run.usage} />
      </Section>
    </Page>
  );
}

/** How long it took, as in the list. While it goes on: up to now. */
function formatLength({ durationMs, finishedAt }: RunTimesFragment, bars: readonly Bar[]): string {
  if (finishedAt == null) return formatTime(Math.max(0, ...bars.map(({ end }) => end)));
  return durationMs == null ? '–' : formatTime(durationMs);
}

function OwnFacts({ run: { conversation, routingDecision } }: { readonly run: NonNullable<OwnRunQuery['run']> }) {
  return (
    <>
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
    </>
  );
}

function Usage({ usage }: Pick<NonNullable<TenantRunQuery['tenantRun']>, 'usage'>) {
  return (
    <>
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
    </>
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
