import { type ReactNode, useEffect, useRef } from 'react';
import { Icon } from './icons.tsx';

interface ComposerProps {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly send: () => void;
  /** Ends the turn that runs. Null: none runs. */
  readonly stop: (() => void) | null;
  readonly children?: ReactNode;
}

/** Where a message is written. Enter sends it, Shift and Enter begin a line. */
export function Composer({ value, change, send, stop, children }: ComposerProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) area.current?.focus();
  }, []);
  const canSend = value.trim() !== '' && stop === null;
  const submit = () => canSend && send();
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div className="composer-box">
        <textarea
          id="composer"
          ref={area}
          rows={1}
          dir="auto"
          maxLength={100_000}
          placeholder="Write a message"
          aria-label="Message"
          value={value}
          onChange={(event) => change(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            submit();
          }}
        />
        <div className="composer-tools">
          {children}
          <span className="space" />
          {stop ? (
            <button type="button" className="send" aria-label="Stop" title="Stop" onClick={stop}>
              <Icon name="stop" />
            </button>
          ) : (
            <button type="submit" className="send" aria-label="Send" title="Send" disabled={!canSend}>
              <Icon name="arrowUp" />
            </button>
          )}
        </div>
      </div>
    </form>
  );
}
