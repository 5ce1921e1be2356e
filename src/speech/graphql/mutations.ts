import { builder } from '../../graphql/builder.ts';
import { synthesizeSpeech } from '../synthesize.ts';
import { transcribeAudio } from '../transcribe.ts';
import { SpeechResult, TranscriptionResult } from './types.ts';

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
