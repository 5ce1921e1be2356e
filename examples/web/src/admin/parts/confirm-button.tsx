import { useRef } from 'react';

interface ConfirmProps {
  /** The words of the button: what is done. */
  readonly label: string;
  readonly question: string;
  readonly act: () => unknown;
}

/** A button for what cannot be undone: it asks once more. */
export function ConfirmButton({ label, question, act }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button type="button" className="button danger" onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} className="card" aria-label={label}>
        <p>{question}</p>
        <div className="buttons">
          <button
            type="button"
            className="button danger"
            onClick={() => {
              dialog.current?.close();
              act();
            }}
          >
            {label}
          </button>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
        </div>
      </dialog>
    </>
  );
}
