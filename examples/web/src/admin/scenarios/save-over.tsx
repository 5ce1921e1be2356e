import { useQuery } from 'urql';
import { PresentVersionDocument } from '../generated/graphql.ts';
import { toAdmin } from '../route.ts';

interface SaveOverProps {
  /** Of the scenario. */
  readonly id: string;
  /** The version from which the draft was made. */
  readonly version: number;
  readonly save: (present: number) => unknown;
}

/** After a CONFLICT: if somebody has saved another version meanwhile, the draft can be saved over it. Otherwise nothing. */
export function SaveOver({ id, version, save }: SaveOverProps) {
  // What is remembered may be the version of the draft.
  const [{ data }] = useQuery({
    query: PresentVersionDocument,
    variables: { id },
    requestPolicy: 'network-only',
  });
  const present = data?.scenario?.version ?? version;
  if (present <= version) return null;
  return (
    <div className="notice">
      <p>
        Somebody has saved{' '}
        <a href={toAdmin('scenarios', id, 'versions', String(present))} target="_blank" rel="noreferrer">
          version {present}
        </a>{' '}
        since you began. What you have written is still here. Saving it replaces that version, which stays in the
        history.
      </p>
      <button type="button" className="button" onClick={() => save(present)}>
        Save over version {present}
      </button>
    </div>
  );
}
