const paths = {
  archive: 'M3 5h18v4H3zM5 9v10h14V9M10 13h4',
  arrowDown: 'M12 5v14M6 13l6 6 6-6',
  arrowUp: 'M12 19V5M6 11l6-6 6 6',
  chat: 'M4 5h16v11H9l-5 4z',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  chevronLeft: 'M15 6l-6 6 6 6',
  chevronRight: 'M9 6l6 6-6 6',
  close: 'M6 6l12 12M18 6L6 18',
  clip: 'M20 11l-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700l-8.400 8.400a1.600 1.600 0 0 1-2.300-2.300L14.500 7.500',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  down: 'M7 4v10M7 14l4 6c2 0 2.500-1 2-2.500L12 14h7c1.500 0 2-1 1.700-2.500L19 5c-.3-.8-1-1-2-1H7M3 4v10h4',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  handoff: 'M4 8h13M13 4l4 4-4 4M20 16H7M11 12l-4 4 4 4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  microphone: 'M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  pin: 'M12 15v6M8 4h8l-1 6 3 5H6l3-5z',
  plus: 'M12 5v14M5 12h14',
  retry: 'M4 12a8 8 0 1 1 2.500 5.800M4 20v-4.500h4.500',
  search: 'M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM16.500 16.500L20 20',
  settings: 'M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4M4 12h14M18 10v4',
  share: 'M12 15V4M8 8l4-4 4 4M5 13v7h14v-7',
  shield: 'M12 3l7 3v6c0 4-3 7-7 9-4-2-7-5-7-9V6z',
  stop: 'M7 7h10v10H7z',
  tool: 'M14 6a4 4 0 0 0 5 5l-9 9a2.500 2.500 0 0 1-4-4l9-9a4 4 0 0 1-1-1z',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  up: 'M7 20V10M7 10l4-6c2 0 2.500 1 2 2.500L12 10h7c1.500 0 2 1 1.700 2.500L19 19c-.3.8-1 1-2 1H7M3 20V10h4',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
} as const;

export type IconName = keyof typeof paths;

/** A line drawing. It says nothing to screen readers: its button has a label. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
