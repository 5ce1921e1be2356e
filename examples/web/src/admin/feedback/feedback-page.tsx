import { useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  FeedbackFiltersDocument,
  type FeedbackItemFragment,
  FeedbackItemFragmentDoc,
  FeedbackListDocument,
  type FeedbackRating,
} from '../generated/graphql.ts';
import { SelectField } from '../parts/form.tsx';
import { AdminLink } from '../parts/link.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page } from '../parts/page.tsx';
import { Badge } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';

/** `/admin/feedback`: what users think of answers, by rating, agent and scenario. */
export function FeedbackPage() {
  const [{ data }] = useQuery({ query: FeedbackFiltersDocument });
  const [rating, setRating] = useState<FeedbackRating | ''>('');
  const [agentId, setAgent] = useState('');
  const [scenarioId, setScenario] = useState('');
  const variables = { rating: rating || null, agentId: agentId || null, scenarioId: scenarioId || null };
  const list = (found: { edges: readonly { node: { id: string; name: string } }[] } | undefined) =>
    [['', 'any'], ...(found?.edges ?? []).map(({ node }) => [node.id, node.name] as const)] as const;
  return (
    <Page title="Feedback">
      <search className="bar">
        <SelectField
          label="Rating"
          path="rating"
          value={rating}
          options={[
            ['', 'any'],
            ['UP', 'good'],
            ['DOWN', 'bad'],
          ]}
          onChange={setRating}
        />
        <SelectField label="Agent" path="agentId" value={agentId} options={list(data?.agents)} onChange={setAgent} />
        <SelectField
          label="Scenario"
          path="scenarioId"
          value={scenarioId}
          options={list(data?.scenarios)}
          onChange={setScenario}
        />
      </search>
      <Table caption="Feedback" columns={['When', 'Rating', 'Answer', 'Written by', 'Comment', 'User', 'Run']}>
        <Rows
          key={JSON.stringify(variables)}
          query={FeedbackListDocument}
          variables={variables}
          type="Feedback"
          read={({ feedback }) => feedback}
          empty={
            rating || agentId || scenarioId
              ? 'Nobody has said anything like that. Choose other filters.'
              : 'Nobody has rated an answer yet. Users do it with the thumbs under each answer in the chat.'
          }
          row={(node) => {
            const item = readFragment(FeedbackItemFragmentDoc, node);
            return <FeedbackRow key={item.id} item={item} />;
          }}
        />
      </Table>
    </Page>
  );
}

function FeedbackRow({ item }: { readonly item: FeedbackItemFragment }) {
  const { rating, message, comment, userId, agent, scenario, scenarioVersion, run } = item;
  return (
    <tr>
      <td className="when">{formatMoment(item.createdAt)}</td>
      <td>
        <Badge tone={rating === 'UP' ? 'good' : 'bad'}>{rating === 'UP' ? 'good' : 'bad'}</Badge>
      </td>
      <td dir="auto">{message.preview}</td>
      <td dir="auto">
        {agent?.name ?? '–'}
        {scenario && <p className="hint">of {scenario.name}</p>}
        {scenarioVersion != null && <p className="hint">version {scenarioVersion}</p>}
      </td>
      <td className="words" dir="auto">
        {comment ?? '–'}
      </td>
      <td dir="auto">{userId}</td>
      <td>{run && <AdminLink to={['runs', run.id]}>open</AdminLink>}</td>
    </tr>
  );
}
