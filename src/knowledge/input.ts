import { z } from 'zod';
import { json, text } from '../api/input.ts';
import { UploadedFile } from '../api/uploaded-file.ts';
import { projectName } from '../projects/input.ts';
import { embeddingInput } from './embedding-input.ts';
import { isLanguage, languages } from './languages.ts';
import { findFormat, supportedMediaTypes } from './parse/media-types.ts';

/** The largest document, in bytes: below the size of an upload. */
export const maxDocumentBytes = 20_000_000;
/** The longest text that is given in an input, in characters; what is longer is uploaded. */
const maxTextCharacters = 500_000;
const maxMetadataCharacters = 10_000;

const name = text(1, 255).refine((value) => value.trim() !== '', 'must not be blank');
const description = text(1, 2_000);
const language = z.string({ error: 'must be a string' }).refine(isLanguage, `must be one of ${languages.join(', ')}`);

/** CreateKnowledgeBaseInput. */
export const createBaseInput = z.strictObject({
  name,
  description: description.nullish(),
  language: language.nullish(),
  projectId: projectName.nullish(),
  embedding: embeddingInput.nullish(),
});

/** UpdateKnowledgeBaseInput. */
export const updateBaseInput = z.strictObject({
  name: name.nullish(),
  description: description.nullish(),
  language: language.nullish(),
  embedding: embeddingInput.nullish(),
});

const title = text(1, 500).refine((value) => value.trim() !== '', 'must not be blank');
const mediaType = text(1, 255).refine((value) => findFormat(value) !== null, `must be ${supportedMediaTypes}`);
const metadata = json(maxMetadataCharacters).refine(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be a JSON object',
);
const file = z
  .instanceof(UploadedFile, { error: 'must be an uploaded file' })
  .refine(({ data }) => data.length <= maxDocumentBytes, `must have at most ${maxDocumentBytes} bytes`);

/** AddKnowledgeDocumentInput. */
export const addDocumentInput = z.strictObject({
  knowledgeBaseId: z.string({ error: 'must be a string' }),
  title,
  text: text(0, maxTextCharacters).nullish(),
  file: file.nullish(),
  mediaType: mediaType.nullish(),
  url: text(1, 2_000).nullish(),
  metadata: metadata.nullish(),
});

/** UpdateKnowledgeDocumentInput. */
export const updateDocumentInput = z.strictObject({
  title: title.nullish(),
  text: text(0, maxTextCharacters).nullish(),
  file: file.nullish(),
  mediaType: mediaType.nullish(),
  metadata: metadata.nullish(),
});
