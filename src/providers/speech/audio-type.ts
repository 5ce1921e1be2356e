import { fileTypeFromBuffer } from 'file-type';

/** A kind of audio file. */
export interface AudioType {
  /** What players are told, e.g. audio/wav. */
  readonly mediaType: string;
  /** What file names end in; providers go by it. */
  readonly extension: string;
}

/** How much of the beginning of a file it takes to tell its type. */
export const audioHeadBytes = 4_100;

/** By what file-type calls them. Containers of video often hold nothing but sound: recorders of browsers write them. */
const types: Readonly<Record<string, AudioType>> = {
  wav: { mediaType: 'audio/wav', extension: 'wav' },
  mp3: { mediaType: 'audio/mpeg', extension: 'mp3' },
  aac: { mediaType: 'audio/aac', extension: 'aac' },
  flac: { mediaType: 'audio/flac', extension: 'flac' },
  ogg: { mediaType: 'audio/ogg', extension: 'ogg' },
  oga: { mediaType: 'audio/ogg', extension: 'ogg' },
  ogx: { mediaType: 'audio/ogg', extension: 'ogg' },
  opus: { mediaType: 'audio/ogg', extension: 'ogg' },
  m4a: { mediaType: 'audio/mp4', extension: 'm4a' },
  mp4: { mediaType: 'audio/mp4', extension: 'mp4' },
  webm: { mediaType: 'audio/webm', extension: 'webm' },
};

/** What the formats are called in messages. */
export const audioFormats = 'WAV, MP3, AAC, FLAC, Ogg (Opus or Vorbis), MP4 (M4A) or WebM';

/**
 * What a file is by its content; its name and what was said of it do not count.
 * @param head its beginning, `audioHeadBytes` of it or all
 * @returns null: no audio, or of a kind that nobody here reads
 */
export async function findAudioType(head: Uint8Array): Promise<AudioType | null> {
  // Half a header may end in an exception of the reader's: then it is no such file either.
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  return (found && types[found.ext]) ?? null;
}
