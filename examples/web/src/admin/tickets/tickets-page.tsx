import { useState } from 'react';
import { useSettled } from '../../use-settled.ts';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  CreateTicketDocument,
  type TicketFilter,
  type TicketPriority,
  TicketRowFragmentDoc,
  type TicketStatus,
  TicketsDocument,
} from '../generated/graphql.ts';
import type { PageProps } from '../pages.ts';
import { Form, SelectField, TextField } from '../parts/form.tsx';
import { AdminLink } from '../parts/link.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { TicketView } from './ticket-view.tsx';
import { useTicketChanges } from './use-ticket-changes.ts';
import { priorities, priorityTones, statuses, statusTones } from './words.ts';

/** `/admin/tickets`: the list; with an id, one of them. */
export function TicketsPage({ path: [id] }: PageProps) {
  const version = useTicketChanges();
  if (version === null) return <Loading />;
  return id === undefined ? <Tickets version={version} /> : <TicketView id={id} version={version} />;
}

function Tickets({ version }: { readonly version: number }) {
  const [status, setStatus] = useState<TicketStatus | ''>('');
  const [priority, setPriority] = useState<TicketPriority | ''>('');
  const [assignee, setAssignee] = useState('');
  const [search, setSearch] = useState('');
  const who = useSettled(assignee.trim());
  const words = useSettled(search.trim());
  const filter: TicketFilter = {
    ...(status && { status: [status] }),
    ...(priority && { priority: [priority] }),
    ...(who && { assignee: who }),
    ...(words && { search: words }),
  };
  return (
    <Page title="Tickets">
      <search className="bar">
        <TextField label="Words" path="search" type="search" value={search} onChange={setSearch} />
        <SelectField
          label="State"
          path="status"
          value={status}
          options={[['', 'any'], ...statuses]}
          onChange={setStatus}
        />
        <SelectField
          label="Priority"
          path="priority"
          value={priority}
          options={[['', 'any'], ...priorities]}
          onChange={setPriority}
        />
        <TextField label="Assigned to" path="assignee" value={assignee} onChange={setAssignee} />
      </search>
      <Table
        caption="Tickets"
        columns={['Number', 'Subject', 'State', 'Priority', 'Assigned to', 'Changed']}
        numbers={['Number']}
      >
        <Rows
          key={JSON.stringify(filter)}
          query={TicketsDocument}
          variables={{ filter }}
          type="Ticket"
          version={version}
          read={({ tickets }) => tickets}
          empty={
            Object.keys(filter).length > 0
              ? 'No ticket is like that. Choose other filters.'
              : 'There is no ticket yet. Open one below; agents open others with the tool create_ticket.'
          }
          row={(node) => {
            const ticket = readFragment(TicketRowFragmentDoc, node);
            return (
              <tr key={ticket.id}>
                <td className="number">{ticket.number}</td>
                <td dir="auto">
                  <AdminLink to={['tickets', ticket.id]}>{ticket.subject}</AdminLink>
                </td>
                <td>
                  <Badge tone={statusTones[ticket.status]}>{ticket.status.toLowerCase()}</Badge>
                </td>
                <td>
                  <Badge tone={priorityTones[ticket.priority]}>{ticket.priority.toLowerCase()}</Badge>
                </td>
                <td dir="auto">{ticket.assignee ?? 'nobody'}</td>
                <td className="when">{formatMoment(ticket.updatedAt)}</td>
              </tr>
            );
          }}
        />
      </Table>
      <Section title="New ticket">
        <NewTicket />
      </Section>
    </Page>
  );
}

function NewTicket() {
  const { run, isRunning, refusal } = useChange(CreateTicketDocument, ['Ticket']);
  const [subject, setSubject] = useState('');
  const [body, setBody] = useState('');
  const [priority, setPriority] = useState<TicketPriority>('NORMAL');
  const save = async () => {
    const data = await run({ input: { subject, body, priority } });
    if (data) openAdmin('tickets', data.createTicket.id);
  };
  return (
    <Form refusal={refusal} isRunning={isRunning} save="Open the ticket" onSave={save}>
      <div className="pair">
        <TextField label="Subject" path="input.subject" value={subject} onChange={setSubject} />
        <SelectField
          label="How urgent"
          path="input.priority"
          value={priority}
          options={priorities}
          onChange={setPriority}
        />
      </div>
      <TextField label="Request" path="input.body" rows={4} value={body} onChange={setBody} />
    </Form>
  );
}
