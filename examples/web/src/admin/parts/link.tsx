import type { AnchorHTMLAttributes, MouseEvent } from 'react';
import { openAdmin, toAdmin } from '../route.ts';

interface AdminLinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, 'href' | 'onClick'> {
  readonly to: readonly string[];
}

/** A link to an admin page: a real one, which can be opened in a tab of its own. */
export function AdminLink({ to, children, ...rest }: AdminLinkProps) {
  const open = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    openAdmin(...to);
  };
  return (
    <a {...rest} href={toAdmin(...to)} onClick={open}>
      {children}
    </a>
  );
}
