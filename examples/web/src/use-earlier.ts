import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { readFragment } from './generated/fragment-masking.ts';
import { EarlierMessagesDocument, type MessageViewFragment, MessageViewFragmentDoc } from './generated/graphql.ts';

export interface EarlierPage {
  readonly hasPreviousPage: boolean;
  readonly startCursor?: string | null;
}

interface Newest {
  readonly conversationId: string;
  readonly firstId: string | undefined;
  readonly newest: EarlierPage | null;
}

/** How far above the screen messages are read, in pixels: whoever scrolls seldom waits for them. */
const ahead = 1_500;

/** Pages before the newest one: each is read when it comes near the screen. What is on the screen stays where it is. */
export function useEarlier(frame: RefObject<HTMLElement | null>, { conversationId, firstId, newest }: Newest) {
  const client = useClient();
  const [pages, setPages] = useState<readonly MessageViewFragment[]>([]);
  const [oldest, setOldest] = useState<EarlierPage | null>(null);
  const [isLoading, setLoading] = useState(false);
  const [anchor, setAnchor] = useState(firstId);
  const [button, watch] = useState<Element | null>(null);
  // The newest page begins elsewhere: another branch was chosen, or much was missed.
  if (anchor !== firstId) {
    setAnchor(firstId);
    setPages([]);
    setOldest(null);
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

  // The browser keeps what is on the screen in its place, but not at the very top.
  const height = useRef(0);
  useLayoutEffect(() => {
    const { current } = frame;
    if (current === null) return;
    if (pages.length > 0 && current.scrollTop < 1) current.scrollTop = current.scrollHeight - height.current;
    height.current = current.scrollHeight;
  }, [pages, frame]);
  return { messages: pages, hasMore: page?.hasPreviousPage ?? false, isLoading, load, watch };
}
