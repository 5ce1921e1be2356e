import { useEffect, useRef, useState } from 'react';
import { useMutation } from 'urql';
import { download } from './download.ts';
import {
  DeleteConversationDocument,
  ExportConversationDocument,
  type ExportFormat,
  ShareConversationDocument,
  type ThreadHeadFragment,
  UpdateConversationDocument,
} from './generated/graphql.ts';
import { Icon, type IconName } from './icons.tsx';
import { openConversation } from './route.ts';

/** What can be done with the conversation as a whole. */
export function ChatMenu({ head }: { readonly head: ThreadHeadFragment }) {
  const [, update] = useMutation(UpdateConversationDocument);
  const [, remove] = useMutation(DeleteConversationDocument);
  const [, share] = useMutation(ShareConversationDocument);
  const [, makeExport] = useMutation(ExportConversationDocument);
  const menu = useRef<HTMLDetailsElement>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const [view, setView] = useState<'rename' | 'delete' | 'share'>('rename');
  const [title, setTitle] = useState(head.title);
  const [link, setLink] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useCloseOutside(menu);

  const ask = (next: typeof view) => {
    setView(next);
    setTitle(head.title);
    setProblem(null);
    dialog.current?.showModal();
  };
  const run = (act: () => unknown) => () => {
    menu.current?.removeAttribute('open');
    menu.current?.querySelector('summary')?.focus();
    act();
  };
  const makeLink = async () => {
    setLink(null);
    ask('share');
    const { data, error } = await share({ id: head.id });
    if (data) setLink(`${location.origin}/shared/${data.shareConversation.token}`);
    else setProblem(error?.message ?? 'There is no link.');
  };
  const save = async (format: ExportFormat) => {
    const { data } = await makeExport({ id: head.id, format });
    if (data) await download(data.exportConversation.url, `${head.title}.${format === 'JSON' ? 'json' : 'md'}`);
  };
  const change = (input: { isPinned?: boolean; isArchived?: boolean; title?: string }) =>
    update({ id: head.id, input });
  const items: readonly (readonly [IconName, string, () => unknown])[] = [
    ['edit', 'Rename', () => ask('rename')],
    ['pin', head.isPinned ? 'Unpin' : 'Pin', () => change({ isPinned: !head.isPinned })],
    ['archive', head.isArchived ? 'Take from archive' : 'Archive', () => change({ isArchived: !head.isArchived })],
    ['share', 'Share a link', makeLink],
    ['download', 'Export as Markdown', () => save('MARKDOWN')],
    ['download', 'Export as JSON', () => save('JSON')],
    ['trash', 'Delete', () => ask('delete')],
  ];
  return (
    <>
      <details className="menu" ref={menu}>
        <summary className="icon-button" aria-label="Conversation menu">
          <Icon name="more" />
        </summary>
        <ul>
          {items.map(([icon, label, act]) => (
            <li key={label}>
              <button type="button" onClick={run(act)}>
                <Icon name={icon} />
                {label}
              </button>
            </li>
          ))}
        </ul>
      </details>
      <dialog ref={dialog} className="card" aria-label={view}>
        <form
          method="dialog"
          onSubmit={() => {
            if (view === 'rename' && title.trim() !== '') void change({ title: title.trim() });
            if (view === 'delete') void remove({ id: head.id }).then(() => openConversation(null));
          }}
        >
          {view === 'rename' && (
            <label className="field">
              Title
              <input maxLength={200} dir="auto" value={title} onChange={(event) => setTitle(event.target.value)} />
            </label>
          )}
          {view === 'delete' && <p>Delete this conversation with all of its messages?</p>}
          {view === 'share' && (
            <label className="field">
              Whoever has this link can read what was said until now
              <input readOnly value={link ?? problem ?? 'One moment…'} onFocus={(event) => event.target.select()} />
            </label>
          )}
          <div className="buttons">
            <button type="submit" className="button primary">
              {{ rename: 'Save', delete: 'Delete', share: 'Done' }[view]}
            </button>
            {view !== 'share' && (
              <button type="button" className="button" onClick={() => dialog.current?.close()}>
                Cancel
              </button>
            )}
          </div>
        </form>
      </dialog>
    </>
  );
}

function useCloseOutside(menu: React.RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    const close = (event: Event) => {
      const { current } = menu;
      if (!current?.open) return;
      const isOutside = event.target instanceof Node && !current.contains(event.target);
      const isEscape = event instanceof KeyboardEvent && event.key === 'Escape';
      if (!isEscape && !(event.type === 'pointerdown' && isOutside)) return;
      current.open = false;
      if (isEscape) current.querySelector('summary')?.focus();
    };
    document.addEventListener('pointerdown', close);
    document.addEventListener('keydown', close);
    return () => {
      document.removeEventListener('pointerdown', close);
      document.removeEventListener('keydown', close);
    };
  }, [menu]);
}
