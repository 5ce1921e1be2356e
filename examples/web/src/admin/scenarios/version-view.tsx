import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  RestoreScenarioVersionDocument,
  type ScenarioDetailsFragment,
  ScenarioDetailsFragmentDoc,
  type ScenarioVersionDetailsFragment,
  ScenarioVersionDetailsFragmentDoc,
  ScenarioVersionToShowDocument,
} from '../generated/graphql.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { Graph } from './graph.tsx';
import { draftScenario, draftVersion, type ScenarioDraft } from './scenario-draft.ts';
import { describeChanges } from './version-changes.ts';

interface VersionViewProps {
  /** Of the scenario. */
  readonly id: string;
  readonly version: number;
}

/** A scenario as it was, beside what it is now. It can be made so again. */
export function VersionView({ id, version: number }: VersionViewProps) {
  const [{ data, error }] = useQuery({ query: ScenarioVersionToShowDocument, variables: { id, version: number } });
  const scenario = readFragment(ScenarioDetailsFragmentDoc, data?.scenario ?? null);
  const version = readFragment(ScenarioVersionDetailsFragmentDoc, data?.scenarioVersion ?? null);
  if (!scenario || !version) return error ? <Problem error={error} /> : <Loading />;

  const members = [...scenario.agents, ...version.agents].map(({ agent }) => agent);
  const names = new Map(members.map((agent) => [agent.id, agent.name]));
  const nameOf = (agentId: string) => names.get(agentId) ?? agentId;
  const draft = draftVersion(version);
  const isPresent = version.version === scenario.version;
  return (
    <Page
      title={`Version ${version.version} of ${scenario.name}`}
      back={{ to: ['scenarios', id, 'versions'], title: 'History' }}
      actions={isPresent ? <Badge tone="good">present</Badge> : <Restore scenario={scenario} version={version} />}
    >
      <p className="muted lead">
        Made <time dateTime={version.createdAt}>{formatMoment(version.createdAt)}</time> by{' '}
        <bdi>{version.changedBy ?? 'the server'}</bdi>
        {version.restoredFrom ? `, from version ${version.restoredFrom}` : ''}
      </p>
      <Graph draft={draft} nameOf={nameOf} wrongAgentId={findDeleted(version)?.id ?? null} />
      {!isPresent && (
        <Section title="What is different now">
          <Changes then={draft} now={draftScenario(scenario)} nameOf={nameOf} />
        </Section>
      )}
      <Section title="Agents">
        <div className="form">
          {draft.members.map((member) => (
            <Member key={member.agentId} member={member} draft={draft} nameOf={nameOf} />
          ))}
        </div>
      </Section>
    </Page>
  );
}

function Restore(props: {
  readonly scenario: ScenarioDetailsFragment;
  readonly version: ScenarioVersionDetailsFragment;
}) {
  const { scenario, version } = props;
  const { run, refusal } = useChange(RestoreScenarioVersionDocument, ['Scenario', 'ScenarioVersion']);
  const deleted = findDeleted(version);
  const restore = async () => {
    const expectedVersion = scenario.version;
    if (await run({ id: scenario.id, version: version.version, expectedVersion })) openAdmin('scenarios', scenario.id);
  };
  if (deleted) {
    return (
      <p className="notice">
        It cannot be restored: the agent <bdi>{deleted.name}</bdi> was deleted.
      </p>
    );
  }
  return (
    <>
      <ConfirmButton
        label="Restore"
        question={`Make ${scenario.name} what it was in version ${version.version}? That becomes version ${scenario.version + 1}, and this history stays.`}
        act={restore}
      />
      {refusal && (
        <p className="problem" role="alert">
          {refusal.message}
        </p>
      )}
    </>
  );
}

/** A member of which nothing is left but its name. */
const findDeleted = ({ agents }: ScenarioVersionDetailsFragment) => agents.find(({ isDeleted }) => isDeleted)?.agent;

interface ChangesProps {
  readonly then: ScenarioDraft;
  readonly now: ScenarioDraft;
  readonly nameOf: (agentId: string) => string;
}

function Changes({ then, now, nameOf }: ChangesProps) {
  const changes = describeChanges(then, now, nameOf);
  if (changes.length === 0) return <p className="muted">Nothing: the scenario is as it was then.</p>;
  return (
    <ul aria-label="Changes">
      {changes.map((change) => (
        <li key={change} dir="auto">
          {change}
        </li>
      ))}
    </ul>
  );
}

interface MemberProps {
  readonly member: ScenarioDraft['members'][number];
  readonly draft: ScenarioDraft;
  readonly nameOf: (agentId: string) => string;
}

/** What the drawing leads to: to whom an agent handed over, and when. */
function Member({ member: { agentId, handoffs }, draft, nameOf }: MemberProps) {
  return (
    <section className="member" id={agentId} tabIndex={-1} aria-label={nameOf(agentId)}>
      <h3>
        <bdi>{nameOf(agentId)}</bdi> {agentId === draft.rootAgentId && <Badge>conversations begin here</Badge>}
      </h3>
      {handoffs.length === 0 && <p className="muted">It hands over to nobody.</p>}
      <ul>
        {handoffs.map(({ toAgentId, description }) => (
          <li key={toAgentId} dir="auto">
            To {nameOf(toAgentId)}
            {description && `: ${description}`}
          </li>
        ))}
      </ul>
    </section>
  );
}
