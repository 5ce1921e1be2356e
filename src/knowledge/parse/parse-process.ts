import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { UnreadableDocumentError } from './block.ts';
import { type ParseAnswer, type ParseRequest, parseRequest } from './messages.ts';
import { readDocument, readDocumentText } from './read-document.ts';

// A process of its own, in which documents of strangers are read (document-parser.ts): it may read the files of the program
// and nothing else, write none and start no process. Its argument is the memory that it may have, in bytes.

const [maxBytes] = process.argv.slice(2).map(Number);
new Worker(fileURLToPath(new URL('./memory-watch.ts', import.meta.url)), { workerData: { maxBytes } }).unref();

// A terminal or a supervisor signals all processes of a group, but only the parent decides when this one ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit());

process.on('message', async (message) => {
  const { id, ...request } = parseRequest.parse(message);
  answer(await read(request).then((outcome) => ({ id, ...outcome })));
});

async function read({ data, mediaType, wanted }: Omit<ParseRequest, 'id'>) {
  try {
    if (wanted.kind === 'text')
      return { outcome: 'text' as const, ...(await readDocumentText(data, mediaType, wanted.maxCharacters)) };
    const { chunks, words } = await readDocument(data, mediaType, wanted);
    return {
      outcome: 'read' as const,
      chunks: chunks.map((chunk) => ({ ...chunk, headings: [...chunk.headings] })),
      words: [...words],
    };
  } catch (error) {
    if (error instanceof UnreadableDocumentError) return { outcome: 'unreadable' as const, reason: error.message };
    // Whatever a parser throws at a file is the file's doing: text that is nested too deep, tables that do not add up.
    return {
      outcome: 'unreadable' as const,
      reason: 'The document cannot be read: its structure is broken or nested too deep.',
    };
  }
}

function answer(message: ParseAnswer): void {
  if (process.connected) process.send?.(message);
}
