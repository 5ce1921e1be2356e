import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { download } from './download.ts';
import { AttachmentAddressesDocument, type AttachmentViewFragment } from './generated/graphql.ts';
import { Icon } from './icons.tsx';
import { SafeLink } from './markdown.tsx';
import type { Upload } from './uploads.ts';

/** Images that the server lets a browser show. */
const shownTypes: ReadonlySet<string> = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif']);

interface AttachmentsProps {
  readonly files: readonly AttachmentViewFragment[];
  /** Null: it is not stored yet. */
  readonly messageId: string | null;
}

/** The files of a message, with what models are not given of them. */
export function Attachments({ files, messageId }: AttachmentsProps) {
  if (files.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Files">
      {files.map((file) => (
        <li key={file.url} className="file">
          {file.url.startsWith('/') ? (
            <Stored file={file} messageId={messageId} />
          ) : (
            <SafeLink url={file.url}>{file.name}</SafeLink>
          )}
          {file.notice && <p className="file-note">{file.notice}</p>}
        </li>
      ))}
    </ul>
  );
}

interface StoredProps {
  readonly file: AttachmentViewFragment;
  readonly messageId: string | null;
}

/** A file on this server: an image as it looks, any other by its name. Either is a button that saves it. */
function Stored({ file, messageId }: StoredProps) {
  const { name, size, url, type, signedUrl } = file;
  const [problem, setProblem] = useState<string | null>(null);
  const [isBroken, setBroken] = useState(false);
  const isShown = !isBroken && !!signedUrl && shownTypes.has(type);
  const save = () => {
    setProblem(null);
    download(url, name).catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  };
  return (
    <>
      {isShown ? (
        <button type="button" className="thumbnail" title={`Download ${name} (${formatSize(size)})`} onClick={save}>
          <Thumbnail file={file} messageId={messageId} giveUp={() => setBroken(true)} />
        </button>
      ) : (
        <button type="button" className="file-name" title={`Download ${name}`} onClick={save}>
          <Icon name="file" />
          <span dir="auto">{name}</span>
          <span className="muted">{formatSize(size)}</span>
        </button>
      )}
      {problem && (
        <p className="file-note" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}

interface ThumbnailProps extends StoredProps {
  readonly giveUp: () => void;
}

/**
 * An image of a message, by an address that needs no token. A browser loads it when it comes near the screen, which can be
 * after the address has expired: then it asks for another one, once.
 */
function Thumbnail({ file: { id, name, signedUrl }, messageId, giveUp }: ThumbnailProps) {
  const client = useClient();
  // What is shown stays, also when the message is read again with another address: the image would be loaded again.
  const [shown, setShown] = useState({ url: signedUrl ?? '', isSecond: false });
  const askAgain = async () => {
    if (messageId === null || shown.isSecond) return giveUp();
    const context = { requestPolicy: 'network-only' } as const;
    const { data } = await client.query(AttachmentAddressesDocument, { messageId }, context).toPromise();
    const url = data?.message?.attachments.find((one) => one.id === id)?.signedUrl;
    if (url) setShown({ url, isSecond: true });
    else giveUp();
  };
  return (
    <img
      key={String(shown.isSecond)}
      src={shown.url}
      alt={name}
      width="192"
      height="144"
      loading="lazy"
      decoding="async"
      onError={askAgain}
    />
  );
}

interface UploadsProps {
  readonly uploads: readonly Upload[];
  readonly remove: (key: string) => void;
}

/** The files of the message that is being written, with how far they are. */
export function Uploads({ uploads, remove }: UploadsProps) {
  if (uploads.length === 0) return null;
  return (
    <ul className="uploads" aria-label="Files of the message">
      {uploads.map(({ key, name, size, progress, stored, problem }) => (
        <li key={key} className="file" data-state={problem ? 'failed' : stored ? 'stored' : 'sending'}>
          <span className="file-name">
            <Icon name="file" />
            <span dir="auto">{name}</span>
            <span className="muted">{formatSize(size)}</span>
          </span>
          {!stored && !problem && <progress value={progress} aria-label={`Upload of ${name}`} />}
          {(problem ?? stored?.notice) && (
            <p className="file-note" role={problem ? 'alert' : undefined}>
              {problem ?? stored?.notice}
            </p>
          )}
          <button type="button" className="icon-button" aria-label={`Remove ${name}`} onClick={() => remove(key)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Takes files that are dropped anywhere on the page. @returns whether some are held over it */
export function useDrop(add: (files: Iterable<File>) => void): boolean {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files') ?? false;
    const over = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      // Else the browser would leave the page for the file.
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      setOver(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      add(event.dataTransfer?.files ?? []);
    };
    document.addEventListener('dragover', over);
    document.addEventListener('dragleave', leave);
    document.addEventListener('drop', drop);
    return () => {
      document.removeEventListener('dragover', over);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('drop', drop);
    };
  }, [add]);
  return isOver;
}

function formatSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const [value, unit] = bytes < 1_000_000 ? [bytes / 1_000, 'kB'] : [bytes / 1_000_000, 'MB'];
  return `${value.toLocaleString(undefined, { maximumFractionDigits: 1 })} ${unit}`;
}
