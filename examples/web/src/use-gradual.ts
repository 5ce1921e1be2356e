import { type RefObject, startTransition, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';

/** What is rendered for the first time in one frame, at most: about a screen of text, or of short messages. */
const atOnce = { messages: 10, characters: 2_000 };

interface Written {
  readonly id: string;
  readonly content: string;
}

/**
 * The end of a list, which grows at its beginning by a few messages in each frame until it is whole: a page that is rendered as
 * a whole makes a frame late. What is added at the end is there immediately. What is on the screen stays where it is.
 * @param isUrgent the end is there with the first frame. Otherwise it is rendered between frames, which is no later and keeps
 * none of them back
 */
export function useGradual<Item extends Written>(
  frame: RefObject<HTMLElement | null>,
  list: readonly Item[],
  isUrgent: boolean,
): readonly Item[] {
  const [firstId, setFirstId] = useState<string | null>(null);
  const known = list.findIndex(({ id }) => id === firstId);
  // Once something was shown, the thread is never empty again while it has messages.
  const [hasShown, setShown] = useState(false);
  const isAwaited = !hasShown && !isUrgent;
  if (!hasShown && (isUrgent || firstId !== null)) setShown(true);
  const end = isAwaited ? list.length : stepBack(list, list.length);
  const from = known < 0 ? end : known;
  const first = list[from]?.id ?? null;
  if (first !== firstId) setFirstId(first);

  // What stood first, and how far down: what is below it may grow at the same time.
  const anchor = useRef<{ readonly element: Element; readonly top: number } | null>(null);
  useEffect(() => {
    if (from === 0) return;
    if (from === list.length) {
      startTransition(() => setFirstId(list[stepBack(list, from)]?.id ?? null));
      return;
    }
    const request = requestAnimationFrame(() => {
      const element = frame.current?.querySelector('.message');
      anchor.current = element ? { element, top: element.getBoundingClientRect().top } : null;
      setFirstId(list[stepBack(list, from)]?.id ?? null);
    });
    return () => cancelAnimationFrame(request);
  }, [frame, list, from]);

  // The browser keeps what is on the screen in its place, but not at the very top.
  useLayoutEffect(() => {
    const { current } = frame;
    if (first === null || anchor.current === null || current === null) return;
    const { element, top } = anchor.current;
    if (current.scrollTop < 1) current.scrollTop += element.getBoundingClientRect().top - top;
    anchor.current = null;
  }, [first, frame]);
  return useMemo(() => (from === 0 ? list : list.slice(from)), [list, from]);
}

/** Where the messages of one more frame begin. */
function stepBack(list: readonly Written[], from: number): number {
  let characters = 0;
  let at = from;
  while (at > 0 && from - at < atOnce.messages && characters < atOnce.characters) {
    at -= 1;
    characters += list[at]?.content.length ?? 0;
  }
  return at;
}
