import { type ReactNode, useEffect, useRef } from 'react';
import { AdminLink } from './link.tsx';

interface PageFrameProps {
  readonly title: string;
  /** The page above this one. */
  readonly back?: { readonly to: readonly string[]; readonly title: string };
  /** Links and buttons beside the title. */
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

let isFirst = true;

/** The heading of a page and what it contains. A page that follows another one takes the focus, so that screen readers say its title. */
export function Page({ title, back, actions, children }: PageFrameProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (!isFirst) heading.current?.focus();
    isFirst = false;
  }, []);
  return (
    <>
      <header className="page-head">
        <div>
          {back && (
            <AdminLink className="back" to={back.to}>
              {back.title}
            </AdminLink>
          )}
          <h1 ref={heading} tabIndex={-1} dir="auto">
            {title}
          </h1>
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

/** A part of a page with a heading of its own. */
export function Section({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <section className="section">
      <h2>{title}</h2>
      {children}
    </section>
  );
}
