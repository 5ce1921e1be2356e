import { useCallback, useEffect, useRef, useState } from 'react';
import type { Menu } from './choices.ts';

/** From here on there is room for the list beside the chat: as in styles/layout.css. */
const wide = matchMedia('(min-width: 52.01rem)');

/**
 * The list of conversations where it lies over the chat. While it is open, the keyboard stays in it: what is behind it is inert.
 * Escape closes it, and the focus goes back to the button that has opened it.
 */
export function useDrawer(): Menu & { readonly close: () => void } {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const open = useCallback(() => setOpen(true), []);
  const close = useCallback(() => setOpen(false), []);
  useEffect(() => {
    if (!isOpen) return;
    const closeOnEscape = ({ key, defaultPrevented }: KeyboardEvent) => {
      // A dialog over the list takes the key for itself.
      if (key === 'Escape' && !defaultPrevented && document.querySelector('dialog[open]') === null) setOpen(false);
    };
    window.addEventListener('keydown', closeOnEscape);
    wide.addEventListener('change', close);
    return () => {
      window.removeEventListener('keydown', closeOnEscape);
      wide.removeEventListener('change', close);
      // Where a chat was chosen, its field has the focus already.
      if (document.activeElement?.id !== 'composer') button.current?.focus();
    };
  }, [isOpen, close]);
  return { button, isOpen, open, close };
}
