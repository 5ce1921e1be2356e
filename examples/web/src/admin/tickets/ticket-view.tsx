import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  CommentTicketDocument,
  TicketDocument,
  type TicketViewFragment,
  TicketViewFragmentDoc,
  UpdateTicketDocument,
  type UpdateTicketInput,
} from '../generated/graphql.ts';
import { CheckField, Form, SelectField, TextField } from '../parts/form.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { useChange } from '../parts/use-change.ts';
import { priorities, statuses } from './words.ts';

const back = { to: ['tickets'], title: 'Tickets' };

interface TicketViewProps {
  readonly id: string;
  /** Grows when it is to be read again. */
  readonly version: number;
}

/** One ticket: what it asks for, what was said about it, what was changed, and forms for both. */
export function TicketView({ id, version }: TicketViewProps) {
  const [{ data, error }, readAgain] = useQuery({ query: TicketDocument, variables: { id } });
  useEffect(() => {
    if (version > 0) readAgain({ requestPolicy: 'network-only' });
  }, [version, readAgain]);
  const ticket = readFragment(TicketViewFragmentDoc, data?.ticket);
  if (!ticket) {
    return (
      <Page title="Ticket" back={back}>
        {error && <Problem error={error} />}
        {data ? <p className="muted">There is no such ticket.</p> : !error && <Loading />}
      </Page>
    );
  }
  const { number, subject, createdBy, createdByAgent, createdAt, contact, category, conversation } = ticket;
  return (
    <Page title={`${number}. ${subject}`} back={back}>
      <dl className="facts">
        <div>
          <dt>Opened</dt>
          <dd>
            {formatMoment(createdAt)} by {createdByAgent ? `${createdByAgent.name} for ${createdBy}` : createdBy}
          </dd>
        </div>
        {contact && (
          <div>
            <dt>For</dt>
            <dd dir="auto">{contact.name ?? contact.id}</dd>
          </div>
        )}
        {category && (
          <div>
            <dt>Category</dt>
            <dd dir="auto">{category}</dd>
          </div>
        )}
        {conversation && (
          <div>
            <dt>Conversation</dt>
            <dd dir="auto">
              <a href={`/#${conversation.id}`}>{conversation.title}</a>
            </dd>
          </div>
        )}
      </dl>
      <p className="said" dir="auto">
        {ticket.body}
      </p>
      <Section title="State">
        <State ticket={ticket} />
      </Section>
      <Section title="Comments">
        <Comments ticket={ticket} />
      </Section>
      <Section title="History">
        <History ticket={ticket} />
      </Section>
    </Page>
  );
}

function State({ ticket }: { readonly ticket: TicketViewFragment }) {
  const { run, isRunning, refusal } = useChange(UpdateTicketDocument, ['Ticket']);
  // Only what the person has changed: somebody else may change the rest meanwhile.
  const [input, setInput] = useState<UpdateTicketInput>({});
  const { status, priority, assignee } = { ...ticket, ...input };
  const save = async () => {
    if (await run({ id: ticket.id, input: { ...input, ...('assignee' in input && { assignee: assignee || null }) } }))
      setInput({});
  };
  return (
    <Form refusal={refusal} isRunning={isRunning} save="Save" onSave={save}>
      <div className="pair">
        <SelectField
          label="State"
          path="input.status"
          value={status ?? ticket.status}
          options={statuses}
          onChange={(chosen) => setInput({ ...input, status: chosen })}
        />
        <SelectField
          label="Priority"
          path="input.priority"
          value={priority ?? ticket.priority}
          options={priorities}
          onChange={(chosen) => setInput({ ...input, priority: chosen })}
        />
        <TextField
          label="Assigned to"
          path="input.assignee"
          hint="A user, or a name of yours. Empty: nobody"
          value={assignee ?? ''}
          onChange={(text) => setInput({ ...input, assignee: text })}
        />
      </div>
    </Form>
  );
}

function Comments({ ticket }: { readonly ticket: TicketViewFragment }) {
  const { run, isRunning, refusal } = useChange(CommentTicketDocument, ['Ticket']);
  const [body, setBody] = useState('');
  const [isInternal, setInternal] = useState(false);
  const save = async () => {
    if (await run({ id: ticket.id, body, isInternal })) setBody('');
  };
  return (
    <>
      {ticket.comments.length === 0 && <p className="muted">Nothing was said yet.</p>}
      <ol className="comments">
        {ticket.comments.map((comment) => (
          <li key={comment.id}>
            <p className="hint">
              {comment.author}, {formatMoment(comment.createdAt)}{' '}
              {comment.isInternal && <Badge tone="warn">internal</Badge>}
            </p>
            <p className="said" dir="auto">
              {comment.body}
            </p>
          </li>
        ))}
      </ol>
      <Form refusal={refusal} isRunning={isRunning} save="Comment" onSave={save}>
        <TextField label="New comment" path="body" rows={3} value={body} onChange={setBody} />
        <CheckField label="Internal: not for the contact" value={isInternal} onChange={setInternal} />
      </Form>
    </>
  );
}

function History({ ticket }: { readonly ticket: TicketViewFragment }) {
  if (ticket.history.length === 0) return <p className="muted">Nothing was changed yet.</p>;
  return (
    <Table caption="History" columns={['When', 'Who', 'What', 'From', 'To']}>
      <tbody>
        {ticket.history.map(({ at, by, field, from, to }) => (
          <tr key={`${at} ${field}`}>
            <td className="when">{formatMoment(at)}</td>
            <td dir="auto">{by}</td>
            <td>{field}</td>
            <td dir="auto">{from ?? '–'}</td>
            <td dir="auto">{to ?? '–'}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}
