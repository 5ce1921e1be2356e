import type { ReactNode } from 'react';
import type { CombinedError } from 'urql';
import { messageOf } from './errors.ts';

/** Until the first answer is here. */
export function Loading() {
  return (
    <p className="muted" role="status">
      One moment…
    </p>
  );
}

/** What the server, or the way to it, has refused. */
export function Problem({ error }: { readonly error: CombinedError }) {
  return (
    <p className="problem" role="alert">
      {messageOf(error)}
    </p>
  );
}

type Tone = 'good' | 'warn' | 'bad' | 'plain';

/** A short word about a thing: its state. */
export function Badge({ tone = 'plain', children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}
