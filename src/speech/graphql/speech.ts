import { GraphQLError, GraphQLScalarType } from 'graphql';
import { UploadedFile } from '../../api/uploaded-file.ts';
import { builder } from '../../graphql/builder.ts';
import type { Transcription } from '../../providers/speech/transcription.ts';
import { type SpeechResult as Spoken, synthesizeSpeech } from '../synthesize.ts';
import { transcribeAudio } from '../transcribe.ts';

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

const SpeechResult = builder.objectRef<Spoken>('SpeechResult').implement({
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

const TranscriptionResult = builder.objectRef<Transcription>('TranscriptionResult').implement({
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

const agentId = {
  required: false,
  description:
    'The id of the agent whose provider is used, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. If omitted, the current agent.',
} as const;

builder.mutationFields((t) => ({
  synthesizeSpeech: t.field({
    type: SpeechResult,
    description:
      'Converts a text to speech with an agent’s text-to-speech provider. PROVIDER_FAILED, with `problem` and `retryable`, if the provider fails. RATE_LIMITED if the user has 200 clips, or 500 MB of them, that have not expired. Over HTTP, it stops when the client disconnects.',
    args: {
      agentId: t.arg.id(agentId),
      text: t.arg.string({
        required: true,
        description: 'The text to speak, 1 to 10,000 characters. Example: `Your order is on its way`.',
      }),
    },
    resolve: (_root, args, context) => synthesizeSpeech(context.viewer, context.speech, args, context.signal),
  }),
  transcribeAudio: t.field({
    type: TranscriptionResult,
    description:
      'Transcribes a recording with an agent’s speech-to-text provider. PROVIDER_FAILED, with `problem` and `retryable`, if the provider fails. It stops when the client disconnects.',
    args: {
      agentId: t.arg.id(agentId),
      audio: t.arg({
        type: 'File',
        required: true,
        description:
          'The recording: WAV, MP3, AAC, FLAC, Ogg, MP4 (M4A) or WebM, at most 25 MB. The type is read from the content, not from the file name. `whisper-live` accepts only WAV of at most ten minutes.',
      }),
    },
    resolve: (_root, args, context) => transcribeAudio(context.viewer, context.speech, args, context.signal),
  }),
}));
