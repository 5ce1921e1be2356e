import { useEffect, useState } from 'react';
import { download } from './download.ts';
import type { AttachmentViewFragment } from './generated/graphql.ts';
import { Icon } from './icons.tsx';
import { SafeLink } from './markdown.tsx';
import type { Upload } from './uploads.ts';

/** The files of a message, with what models are not given of them. */
export function Attachments({ files }: { readonly files: readonly AttachmentViewFragment[] }) {
  if (files.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Files">
      {files.map((file) => (
        <li key={file.url} className="file">
          {file.url.startsWith('/') ? <Stored file={file} /> : <SafeLink url={file.url}>{file.name}</SafeLink>}
          {file.notice && <p className="file-note">{file.notice}</p>}
        </li>
      ))}
    </ul>
  );
}

/** A file on this server. */
function Stored({ file: { name, size, url } }: { readonly file: AttachmentViewFragment }) {
  const [problem, setProblem] = useState<string | null>(null);
  const save = () => {
    setProblem(null);
    download(url, name).catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  };
  return (
    <>
      <button type="button" className="file-name" title={`Download ${name}`} onClick={save}>
        <Icon name="file" />
        <span dir="auto">{name}</span>
        <span className="muted">{formatSize(size)}</span>
      </button>
      {problem && (
        <p className="file-note" role="alert">
          {problem}
        </p>
      )}
    </>
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
