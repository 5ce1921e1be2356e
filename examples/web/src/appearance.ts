import { useSyncExternalStore } from 'react';

/** How the page looks in this browser. */
export interface Appearance {
  /** `system`: as the device is set. */
  readonly theme: 'system' | 'light' | 'dark';
  /** On which side the list of conversations stands. Texts have the direction of their own letters. */
  readonly direction: 'ltr' | 'rtl';
}

const stored = 'switchboard:appearance';
const listeners = new Set<() => void>();
let appearance = read();
apply();

/** Changes what is given, and remembers it in this browser. */
export function setAppearance(change: Partial<Appearance>): void {
  appearance = { ...appearance, ...change };
  localStorage.setItem(stored, JSON.stringify(appearance));
  apply();
  for (const listener of listeners) listener();
}

export function useAppearance(): Appearance {
  return useSyncExternalStore(subscribe, () => appearance);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply(): void {
  const { dataset } = document.documentElement;
  document.documentElement.dir = appearance.direction;
  if (appearance.theme === 'system') delete dataset.theme;
  else dataset.theme = appearance.theme;
}

/** The page's own language is that of `html`: a translation of it into Arabic says `dir="rtl"` there. */
function read(): Appearance {
  const start: Appearance = { theme: 'system', direction: document.documentElement.dir === 'rtl' ? 'rtl' : 'ltr' };
  try {
    const { theme, direction }: Partial<Appearance> = JSON.parse(localStorage.getItem(stored) ?? '{}');
    return {
      theme: theme === 'light' || theme === 'dark' ? theme : start.theme,
      direction: direction === 'ltr' || direction === 'rtl' ? direction : start.direction,
    };
  } catch {
    return start;
  }
}
