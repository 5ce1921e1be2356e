import { useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { TicketChangesDocument, TicketEventStartDocument } from '../generated/graphql.ts';

/**
 * Has all that is shown of tickets read again when one of them has changed, whoever has done it.
 * @returns whether it is known from where on: tickets that are read from then on miss no change
 */
export function useTicketChanges(): boolean {
  // Not the answer of an earlier visit: the events since then may be gone.
  const [{ data, error, stale }] = useQuery({ query: TicketEventStartDocument, requestPolicy: 'network-only' });
  const [context] = useState({ additionalTypenames: ['Ticket'] });
  const [start, setStart] = useState<number | null>(null);
  if (start === null && data && !stale) setStart(data.viewer.lastTicketEventSeq);
  useSubscription({ query: TicketChangesDocument, variables: { after: start }, pause: start === null, context });
  return start !== null || error !== undefined;
}
