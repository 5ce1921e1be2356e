import { type ReactNode, type Ref, useEffect, useImperativeHandle, useRef, useState } from 'react';
import { Uploads, useDrop } from './attachments.tsx';
import type { AttachmentViewFragment } from './generated/graphql.ts';
import { Icon } from './icons.tsx';
import { maxFiles, useUploads } from './uploads.ts';

/** What else of the page does with the message that is being written. */
export interface ComposerHandle {
  /** Sends a text with the files that were chosen. If one of them is not stored, the text is only written down. */
  readonly say: (content: string) => void;
}

interface ComposerProps {
  readonly ref?: Ref<ComposerHandle>;
  readonly send: (content: string, files: readonly AttachmentViewFragment[]) => void;
  /** Ends the turn that runs. Null: none runs. */
  readonly stop: (() => void) | null;
  readonly children?: ReactNode;
}

/** Where a message is written. Enter sends it, Shift and Enter begin a line. Files are chosen, dropped on the page or pasted. */
export function Composer({ ref, send, stop, children }: ComposerProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const [text, setText] = useState('');
  // Whether the person wanted to send it while a turn runs.
  const [isEarly, setEarly] = useState(false);
  if (stop === null && isEarly) setEarly(false);
  const { uploads, tooMany, add, remove, clear } = useUploads();
  const isOver = useDrop(add);
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) area.current?.focus();
  }, []);
  const files = uploads.flatMap(({ stored }) => stored ?? []);
  // A file that was refused has to be taken away first: nobody sends a message without it by accident.
  const isReady = stop === null && files.length === uploads.length;
  const canSend = text.trim() !== '' && isReady;
  const say = (content: string) => {
    send(content, files);
    setText('');
    clear();
  };
  const submit = () => {
    if (canSend) say(text.trim());
    else if (stop !== null && text.trim() !== '') setEarly(true);
  };
  useImperativeHandle(ref, () => ({
    say: (content) => {
      if (isReady) return say(content);
      setText(content);
      area.current?.focus();
    },
  }));
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div className="composer-box" data-over={isOver}>
        <Uploads uploads={uploads} remove={remove} />
        {tooMany && (
          <p className="file-note" role="alert">
            A message has at most {maxFiles} files: the others were left out.
          </p>
        )}
        <textarea
          id="composer"
          ref={area}
          rows={1}
          dir="auto"
          maxLength={100_000}
          placeholder={uploads.length > 0 ? 'Say what the files are for' : 'Write a message'}
          aria-label="Message"
          value={text}
          onChange={({ target }) => setText(target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            submit();
          }}
          onPaste={(event) => {
            const { files: pasted, types } = event.clipboardData;
            // Office programs add a picture of the text that was copied: then the text is meant.
            if (pasted.length === 0 || types.includes('text/plain')) return;
            event.preventDefault();
            add(pasted);
          }}
        />
        <p className="composer-note" role="status">
          {isEarly && 'The answer has not ended. Your text stays here: send it afterwards, or stop the answer first.'}
        </p>
        <div className="composer-tools">
          <input
            ref={chooser}
            type="file"
            multiple
            hidden
            onChange={({ target }) => {
              add(target.files ?? []);
              // The same file can be chosen again.
              target.value = '';
            }}
          />
          <button
            type="button"
            className="icon-button"
            aria-label="Attach files"
            title="Attach files"
            onClick={() => chooser.current?.click()}
          >
            <Icon name="clip" />
          </button>
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
