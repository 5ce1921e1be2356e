import { useEffect, useState } from 'react';
import { useClient, useQuery, useSubscription } from 'urql';
import { TicketChangesDocument, TicketEventStartDocument } from '../generated/graphql.ts';

/** From which event on changes are followed. */
interface Start {
  readonly after: number;
  /** How often events were gone before they were read. */
  readonly gaps: number;
}

/**
 * Has all that is shown of tickets read again when one of them has changed, whoever has done it.
 * @returns null while it is not known from where on: tickets that are read from then on miss no change. A number that grows
 * when events are gone that were not read: what is shown has to be read again then
 */
export function useTicketChanges(): number | null {
  const client = useClient();
  // Not the answer of an earlier visit: the events since then may be gone.
  const [{ data, error, stale }] = useQuery({ query: TicketEventStartDocument, requestPolicy: 'network-only' });
  const [context] = useState({ additionalTypenames: ['Ticket'] });
  const [start, setStart] = useState<Start | null>(null);
  const [isExpired, setExpired] = useState(false);
  if (start === null && data && !stale) setStart({ after: data.viewer.lastTicketEventSeq, gaps: 0 });
  const [{ error: end }] = useSubscription({
    query: TicketChangesDocument,
    variables: { after: start?.after ?? null },
    pause: start === null || isExpired,
    context,
  });
  useEffect(() => {
    if (end?.graphQLErrors.some(({ extensions }) => extensions.code === 'EVENTS_EXPIRED')) setExpired(true);
  }, [end]);
  useEffect(() => {
    if (!isExpired) return;
    const { unsubscribe } = client
      .query(TicketEventStartDocument, {}, { requestPolicy: 'network-only' })
      .subscribe(({ data: now, stale: isOld }) => {
        if (!now || isOld) return;
        setStart((known) => ({ after: now.viewer.lastTicketEventSeq, gaps: (known?.gaps ?? 0) + 1 }));
        setExpired(false);
      });
    return unsubscribe;
  }, [isExpired, client]);
  if (start !== null) return start.gaps;
  return error === undefined ? null : 0;
}
