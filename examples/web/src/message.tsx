import { memo, useCallback, useState } from 'react';
import { useMutation } from 'urql';
import { Attachments } from './attachments.tsx';
import { CopyButton } from './copy-button.tsx';
import { FeedbackComment } from './feedback-comment.tsx';
import { readFragment } from './generated/fragment-masking.ts';
import {
  AttachmentViewFragmentDoc,
  type CallViewFragment,
  CallViewFragmentDoc,
  GuardrailViewFragmentDoc,
  type MessageViewFragment,
  RateMessageDocument,
  SelectBranchDocument,
} from './generated/graphql.ts';
import { GuardrailNotices } from './guardrail-notices.tsx';
import { Icon } from './icons.tsx';
import { Markdown, SafeLink } from './markdown.tsx';
import { ToolCall } from './tool-call.tsx';
import { useLiveText } from './turns.ts';

/** What a person can do with a message. While a turn runs, it does nothing, and `.when-idle` hides the buttons. */
export interface MessageActions {
  /** @returns whether it was sent */
  readonly edit: (message: MessageViewFragment, content: string) => boolean;
  readonly regenerate: (message: MessageViewFragment) => void;
  /** Reads the thread again after another branch was chosen. */
  readonly reload: () => void;
}

interface MessageProps {
  readonly message: MessageViewFragment;
  readonly actions: MessageActions;
}

interface WrittenProps extends MessageProps {
  /** The conversation whose turn writes the message. Null: it is stored. */
  readonly writtenIn: string | null;
}

/** A stored message, or an answer that is being written: when it is stored, it stays as it stands in the page. */
export const Message = memo(({ message, actions, writtenIn }: WrittenProps) => {
  if (message.role === 'SYSTEM') return null;
  return message.role === 'USER' ? (
    <UserMessage message={message} actions={actions} />
  ) : (
    <Answer message={message} actions={actions} writtenIn={writtenIn} />
  );
});

function UserMessage({ message, actions }: MessageProps) {
  const [draft, setDraft] = useState<string | null>(null);
  if (draft !== null) {
    return (
      <li className="message user">
        <form
          className="edit"
          onSubmit={(event) => {
            event.preventDefault();
            if (draft.trim() === '' || actions.edit(message, draft.trim())) setDraft(null);
          }}
        >
          <textarea
            // biome-ignore lint/a11y/noAutofocus: the person has asked for it
            autoFocus
            rows={3}
            dir="auto"
            aria-label="Edit message"
            value={draft}
            onChange={(event) => setDraft(event.target.value)}
          />
          <div className="buttons">
            <button type="submit" className="button primary">
              Send
            </button>
            <button type="button" className="button" onClick={() => setDraft(null)}>
              Cancel
            </button>
          </div>
        </form>
      </li>
    );
  }
  return (
    <li className="message user">
      <div className="bubble" dir="auto">
        {message.content}
      </div>
      <Attachments files={readFragment(AttachmentViewFragmentDoc, message.attachments)} messageId={message.id} />
      <Notices message={message} />
      <div className="actions">
        <Branches message={message} actions={actions} />
        <CopyButton text={message.content} label="Copy message" />
        <button
          type="button"
          className="icon-button when-idle"
          aria-label="Edit message"
          title="Edit message"
          onClick={() => setDraft(message.content)}
        >
          <Icon name="edit" />
        </button>
      </div>
    </li>
  );
}

function Answer({ message, actions, writtenIn }: WrittenProps) {
  const { citations } = message;
  const content = useLiveText(writtenIn, message.id) ?? message.content;
  const [quote, setQuote] = useState<number | null>(null);
  // It stays so when it is stored: to be made like the others would have it laid out once more.
  const [isFresh] = useState(writtenIn !== null);
  const calls = readFragment(CallViewFragmentDoc, message.toolCalls);
  // Those of a step that wrote no text came before the text of the next one.
  const isBefore = (call: CallViewFragment) => !!call.startedAt && call.startedAt < message.createdAt;
  const cited = citations.find(({ index }) => index === quote);
  const cite = useCallback(
    (index: number) =>
      citations.some((citation) => citation.index === index) ? (
        <button
          type="button"
          className="cite"
          aria-label={`Source ${index}`}
          aria-expanded={quote === index}
          onClick={() => setQuote((shown) => (shown === index ? null : index))}
        >
          {index}
        </button>
      ) : null,
    [citations, quote],
  );
  return (
    <>
      <Calls calls={calls.filter(isBefore)} />
      <li
        className={isFresh ? 'message assistant fresh' : 'message assistant'}
        data-writing={writtenIn === null ? undefined : message.status === 'PARTIAL'}
      >
        {content !== '' && (
          <>
            <p className="author">{message.agent?.name ?? 'Agent'}</p>
            <Markdown text={content} cite={citations.length > 0 ? cite : undefined} />
          </>
        )}
        {cited && (
          <figure className="quote">
            <blockquote dir="auto">{cited.quote}</blockquote>
            <figcaption>{cited.url ? <SafeLink url={cited.url}>{cited.title}</SafeLink> : cited.title}</figcaption>
          </figure>
        )}
        {message.status === 'PARTIAL' && !writtenIn && <p className="notice">The answer ended early.</p>}
        <Notices message={message} />
        {writtenIn && <div className="actions" />}
        {content !== '' && !writtenIn && <AnswerActions message={message} actions={actions} />}
      </li>
      <Calls calls={calls.filter((call) => !isBefore(call))} />
    </>
  );
}

function Calls({ calls }: { readonly calls: readonly CallViewFragment[] }) {
  return calls.map((call) => (
    <li key={call.id} className="message assistant one-call">
      <ToolCall call={call} />
    </li>
  ));
}

function AnswerActions({ message, actions }: MessageProps) {
  const [{ error }, rate] = useMutation(RateMessageDocument);
  const [wasRated, setRated] = useState(false);
  const { rating = null, comment = null } = message.feedback ?? {};
  const give = async (given: typeof rating, text: string | null) => {
    const { error: refused } = await rate({ id: message.id, rating: given, comment: given === null ? null : text });
    return refused === undefined;
  };
  const toggle = (wanted: 'UP' | 'DOWN') => {
    setRated(true);
    void give(rating === wanted ? null : wanted, comment);
  };
  return (
    <>
      <div className="actions">
        <Branches message={message} actions={actions} />
        <CopyButton text={message.content} label="Copy answer" />
        <button
          type="button"
          className="icon-button"
          aria-label="Good answer"
          aria-pressed={rating === 'UP'}
          title="Good answer"
          onClick={() => toggle('UP')}
        >
          <Icon name="up" />
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label="Bad answer"
          aria-pressed={rating === 'DOWN'}
          title="Bad answer"
          onClick={() => toggle('DOWN')}
        >
          <Icon name="down" />
        </button>
        <button
          type="button"
          className="icon-button when-idle"
          aria-label="Answer again"
          title="Answer again"
          onClick={() => actions.regenerate(message)}
        >
          <Icon name="retry" />
        </button>
      </div>
      {rating && (
        <FeedbackComment rating={rating} comment={comment} startsOpen={wasRated} save={(text) => give(rating, text)} />
      )}
      {error && (
        <p className="problem" role="alert">
          {error.message.replace('[GraphQL] ', '')}
        </p>
      )}
    </>
  );
}

/** Which of the branches that begin here is shown, and the way to the others. */
function Branches({ message, actions }: MessageProps) {
  const [, select] = useMutation(SelectBranchDocument);
  const { branches } = message;
  const place = branches.findIndex(({ id }) => id === message.id);
  if (branches.length < 2) return null;
  const go = async (step: number) => {
    const to = branches[place + step];
    if (!to) return;
    await select({ messageId: to.id });
    actions.reload();
  };
  return (
    <fieldset className="branches">
      <legend className="hidden">Versions</legend>
      <button
        type="button"
        className="icon-button when-idle"
        aria-label="Earlier version"
        disabled={place <= 0}
        onClick={() => go(-1)}
      >
        <Icon name="chevronLeft" />
      </button>
      <span>
        {place + 1} / {branches.length}
      </span>
      <button
        type="button"
        className="icon-button when-idle"
        aria-label="Later version"
        disabled={place >= branches.length - 1}
        onClick={() => go(1)}
      >
        <Icon name="chevronRight" />
      </button>
    </fieldset>
  );
}

/** What guardrails have found in the message. */
function Notices({ message }: { readonly message: MessageViewFragment }) {
  return <GuardrailNotices results={readFragment(GuardrailViewFragmentDoc, message.guardrailResults)} />;
}
