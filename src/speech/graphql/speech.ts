import { GraphQLError, GraphQLScalarType } from 'graphql';
import { UploadedFile } from '../../api/multipart.ts';
import { builder } from '../../graphql/builder.ts';
import type { Transcription } from '../../providers/speech/transcription.ts';
import { type SpeechResult as Spoken, synthesizeSpeech } from '../synthesize.ts';
import { transcribeAudio } from '../transcribe.ts';

builder.addScalarType(
  'File',
  new GraphQLScalarType<UploadedFile, never>({
    name: 'File',
    description:
      'A file, uploaded with the operation as the GraphQL multipart request specification has it: a POST of ' +
      'multipart/form-data with the fields operations, map and the file, and a header graphql-require-preflight. ' +
      'At most one file of 25 MB.',
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
  description: 'A text that was spoken.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'Where the sound is, a path of this server (/speech/clip_…): GET it with the same access token, whole or in ' +
        'ranges. Only the user who had it made can, and only for a while (SPEECH_TTL_SECONDS).',
    }),
    mediaType: t.exposeString('mediaType', { description: 'What it is by its content, e.g. audio/wav.' }),
    size: t.exposeInt('size', { description: 'How large it is, in bytes.' }),
  }),
});

const TranscriptionResult = builder.objectRef<Transcription>('TranscriptionResult').implement({
  description: 'What was said in a recording.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'The words.' }),
    language: t.exposeString('language', {
      nullable: true,
      description: 'The language, mostly as BCP 47. Null: the provider did not say.',
    }),
    durationMs: t.exposeInt('durationMs', {
      nullable: true,
      description: 'How long the recording is, in milliseconds. Null: not known.',
    }),
  }),
});

const agentId = { required: false, description: 'The agent. Without one, the current agent.' } as const;

builder.mutationFields((t) => ({
  synthesizeSpeech: t.field({
    type: SpeechResult,
    description:
      'Has a text spoken by an agent’s text-to-speech provider. PROVIDER_FAILED, with `problem` and `retryable`, ' +
      'where the provider does not do it; RATE_LIMITED where too many clips wait to be fetched (200 of a user, or 500 ' +
      'MB). Over HTTP it ends when the client leaves.',
    args: {
      agentId: t.arg.id(agentId),
      text: t.arg.string({ required: true, description: 'What to say, 1 to 10,000 characters.' }),
    },
    resolve: (_root, args, context) => synthesizeSpeech(context.viewer, context.speech, args, context.signal),
  }),
  transcribeAudio: t.field({
    type: TranscriptionResult,
    description:
      'Has a recording written down by an agent’s speech-to-text provider. PROVIDER_FAILED, with `problem` and ' +
      '`retryable`, where the provider does not do it. It ends when the client leaves.',
    args: {
      agentId: t.arg.id(agentId),
      audio: t.arg({
        type: 'File',
        required: true,
        description:
          'WAV, MP3, AAC, FLAC, Ogg, MP4 (M4A) or WebM, at most 25 MB; its content counts, not its name. ' +
          'Streaming providers (whisper-live) take WAV only, of at most ten minutes.',
      }),
    },
    resolve: (_root, args, context) => transcribeAudio(context.viewer, context.speech, args, context.signal),
  }),
}));
