import { useState } from 'react';
import type { FeedbackRating } from './generated/graphql.ts';

interface FeedbackCommentProps {
  readonly rating: FeedbackRating;
  /** What is stored. Null: nothing. */
  readonly comment: string | null;
  /** Whether the field is there at first, and after another rating: the person has just rated the answer. */
  readonly startsOpen: boolean;
  /** @returns whether it was stored; null: nothing is said any more */
  readonly save: (comment: string | null) => Promise<boolean>;
}

/** What the person says of an answer that they have rated. */
export function FeedbackComment({ rating, comment, startsOpen, save }: FeedbackCommentProps) {
  const [draft, setDraft] = useState(startsOpen ? (comment ?? '') : null);
  // The focus goes to the field, or back to the button, only when a person moves between the two.
  const [hasMoved, setMoved] = useState(false);
  const [ratedAs, setRatedAs] = useState(rating);
  // Who has just rated it otherwise may say why, and goes on with what they have begun to write.
  if (rating !== ratedAs) {
    setRatedAs(rating);
    if (draft === null && startsOpen) {
      setMoved(false);
      setDraft(comment ?? '');
    }
  }
  const show = (text: string | null) => {
    setMoved(true);
    setDraft(text);
  };
  if (draft === null) {
    return (
      <div className="feedback">
        {comment !== null && <p dir="auto">{comment}</p>}
        <button
          type="button"
          className="button quiet"
          // biome-ignore lint/a11y/noAutofocus: it replaces the field that had the focus
          autoFocus={hasMoved}
          onClick={() => show(comment ?? '')}
        >
          {comment === null ? 'Add a comment' : 'Change the comment'}
        </button>
      </div>
    );
  }
  return (
    <form
      className="feedback edit"
      onSubmit={async (event) => {
        event.preventDefault();
        if (await save(draft.trim() || null)) show(null);
      }}
    >
      <label className="field">
        {rating === 'UP' ? 'What was good?' : 'What was wrong?'}
        <textarea
          // biome-ignore lint/a11y/noAutofocus: the person has asked for it
          autoFocus={hasMoved}
          rows={2}
          dir="auto"
          maxLength={5_000}
          value={draft}
          onChange={({ target }) => setDraft(target.value)}
          onKeyDown={({ key, nativeEvent }) => {
            // In an input method, Escape gives up a word, and not the whole text.
            if (key === 'Escape' && !nativeEvent.isComposing) show(null);
          }}
        />
      </label>
      <div className="buttons">
        <button type="submit" className="button primary">
          Save
        </button>
        <button type="button" className="button" onClick={() => show(null)}>
          Cancel
        </button>
      </div>
    </form>
  );
}
