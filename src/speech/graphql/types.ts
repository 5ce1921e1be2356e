import { GraphQLError, GraphQLScalarType } from 'graphql';
import { UploadedFile } from '../../api/uploaded-file.ts';
import { builder } from '../../graphql/builder.ts';
import type { Transcription } from '../../providers/speech/transcription.ts';
import type { SpeechResult as SynthesizedSpeech } from '../synthesize.ts';

builder.addScalarType(
  'File',
  new GraphQLScalarType<UploadedFile, never>({
    name: 'File',
    description:
      'An uploaded file, at most 25 MB, one per operation. Send the operation as the GraphQL multipart request specification describes: a POST of `multipart/form-data` with the fields `operations`, `map` and the file, and with the header `graphql-require-preflight: 1`.',
    serialize: () => {
      throw new GraphQLError('A File only goes in.');
    },
    parseValue: (value) => {
      if (value instanceof UploadedFile) return value;
      throw new GraphQLError('A File must be uploaded: send the operation as multipart/form-data.');
    },
    parseLiteral: () => {
      throw new GraphQLError('A File must be a variable, and be uploaded as multipart/form-data.');
    },
  }),
);

/** Synthesized speech in the graph. */
export const SpeechResult = builder.objectRef<SynthesizedSpeech>('SpeechResult').implement({
  description: 'A text that was converted to speech.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'The path of the audio on this server, such as `/speech/clip_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. GET it with the same access token, whole or in ranges. Only its creator can read it, for SPEECH_TTL_SECONDS (default 3,600).',
    }),
    mediaType: t.exposeString('mediaType', { description: 'The media type of the audio, such as `audio/wav`.' }),
    size: t.exposeInt('size', { description: 'The size in bytes.' }),
  }),
});

/** A transcription in the graph. */
export const TranscriptionResult = builder.objectRef<Transcription>('TranscriptionResult').implement({
  description: 'The text of a recording.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'The transcribed text.' }),
    language: t.exposeString('language', {
      nullable: true,
      description: 'The language, usually as a BCP 47 tag such as `en`. Null if the provider did not report it.',
    }),
    durationMs: t.exposeInt('durationMs', {
      nullable: true,
      description: 'The duration of the recording in milliseconds. Null if it is unknown.',
    }),
  }),
});
