import { type RefObject, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useClient } from 'urql';
import { readFragment } from './generated/fragment-masking.ts';
import { EarlierMessagesDocument, type MessageViewFragment, MessageViewFragmentDoc } from './generated/graphql.ts';

export interface EarlierPage {
  readonly hasPreviousPage: boolean;
  readonly startCursor?: string | null;
}

interface Newest {
  readonly conversationId: string;
  /** The newest messages, and where they begin. */
  readonly messages: readonly MessageViewFragment[];
  readonly newest: EarlierPage | null;
}

/** How far above the screen messages are read, in pixels: whoever scrolls seldom waits for them. */
const ahead = 1_500;

/** The newest messages and the pages before them: each is read when it comes near the screen. */
export function useEarlier(frame: RefObject<HTMLElement | null>, { conversationId, messages, newest }: Newest) {
  const client = useClient();
  const [pages, setPages] = useState<readonly MessageViewFragment[]>([]);
  const [oldest, setOldest] = useState<EarlierPage | null>(null);
  const [isLoading, setLoading] = useState(false);
  const [seen, setSeen] = useState({ messages, newest });
  const [button, watch] = useState<Element | null>(null);
  const firstId = messages[0]?.id;
  if (seen.messages !== messages) {
    setSeen({ messages, newest });
    // It was read again and begins elsewhere: later, or in another branch. What comes before a message is always the same.
    if (seen.messages[0]?.id !== firstId) {
      const known = [...pages, ...seen.messages];
      const at = known.findIndex(({ id }) => id === firstId);
      setPages(at < 0 ? [] : known.slice(0, at));
      setOldest(at <= 0 ? null : (oldest ?? seen.newest));
    }
  }
  const page = oldest ?? newest;
  const before = page?.hasPreviousPage ? page.startCursor : null;
  // The page that is being read: whoever scrolls to and fro must not have it twice.
  const reading = useRef<string | null>(null);
  const load = useCallback(async () => {
    if (!before || reading.current !== null) return;
    reading.current = `${firstId} ${before}`;
    const mine = reading.current;
    setLoading(true);
    const { data } = await client.query(EarlierMessagesDocument, { id: conversationId, before }).toPromise();
    // Another branch was chosen meanwhile: these messages are not before its own.
    if (reading.current !== mine) return;
    reading.current = null;
    setLoading(false);
    const found = data?.conversation?.messages;
    if (!found) return;
    const nodes = found.edges.map(({ node }) => node);
    setPages((known) => [...readFragment(MessageViewFragmentDoc, nodes), ...known]);
    setOldest(found.pageInfo);
  }, [client, conversationId, firstId, before]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: what was being read belongs to the former branch
  useLayoutEffect(() => {
    reading.current = null;
    setLoading(false);
  }, [firstId]);

  // A page that is read makes a new function: it is asked for the next one if the button is still near.
  useEffect(() => {
    if (button === null) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) void load();
      },
      { root: frame.current, rootMargin: `${ahead}px 0px 0px` },
    );
    observer.observe(button);
    return () => observer.disconnect();
  }, [button, frame, load]);
  const listed = useMemo(() => [...pages, ...messages], [pages, messages]);
  return { listed, hasMore: page?.hasPreviousPage ?? false, isLoading, load, watch };
}
