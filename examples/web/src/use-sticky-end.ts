import { useEffect, useLayoutEffect, useRef, useState } from 'react';

/** Keeps the end in view while text comes, unless the person has scrolled up. */
export function useStickyEnd(sent: string | null | undefined) {
  const frame = useRef<HTMLElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const sticks = useRef(true);
  const [isAtEnd, setAtEnd] = useState(true);
  const toEnd = () => {
    sticks.current = true;
    if (frame.current) frame.current.scrollTop = frame.current.scrollHeight;
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever sends a message wants to see it, and nothing moves when its turn ends
  useLayoutEffect(() => {
    if (sent) toEnd();
  }, [sent]);
  useEffect(() => {
    const element = frame.current;
    if (!element || !list.current) return;
    const watch = () => {
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
      sticks.current = distance < 60;
      setAtEnd(distance < 200);
    };
    const observer = new ResizeObserver(() => {
      if (sticks.current) element.scrollTop = element.scrollHeight;
      else watch();
    });
    observer.observe(list.current);
    observer.observe(element);
    element.addEventListener('scroll', watch, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', watch);
    };
  }, []);
  return { frame, list, isAtEnd, toEnd };
}
