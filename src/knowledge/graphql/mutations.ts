import { builder } from '../../graphql/builder.ts';
import { KnowledgeBaseRef, KnowledgeDocumentRef } from '../../graphql/refs.ts';
import { createBase, deleteBase, reindexBase, updateBase } from '../write-bases.ts';
import { addDocument, deleteDocument, updateDocument } from '../write-documents.ts';
import { EmbeddingProviderConfigInput } from './embedding.ts';

const baseId = 'The knowledge base’s id, such as `kb_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';
const documentId = 'The document’s id, such as `doc_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';
const language =
  'The language of the texts, as PostgreSQL names its full-text configurations: `english`, `german`, `french`, `simple` (for any language) and others.';
const mayChange = 'Admins of the tenant may do this, and editors of the project to which the base belongs.';
const text = 'The text itself, at most 500,000 characters. What is longer is uploaded as a file.';
const file = 'The file, at most 20,000,000 bytes: a text, Markdown, HTML, PDF or DOCX. Pictures in it are not read.';
const metadata =
  'Anything that searches are to be limited by, as a JSON object of at most 10,000 characters. Example: `{"product": "cups"}`.';

const CreateKnowledgeBaseInput = builder.inputType('CreateKnowledgeBaseInput', {
  description: 'The properties of a new knowledge base.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name to show to people, 1 to 255 characters.' }),
    description: t.string({
      description: 'What is in the base, 1 to 2,000 characters. Agents read it to decide whether to search.',
    }),
    language: t.string({ defaultValue: 'english', description: language }),
    projectId: t.id({
      description:
        'The id or the key of the project to which the base belongs: its members can read it. If omitted, it belongs to the tenant, and all its users can.',
    }),
    embedding: t.field({
      type: EmbeddingProviderConfigInput,
      description:
        'The embedding model, for searches by meaning. If omitted, that of the server’s environment, if there is one.',
    }),
  }),
});

const UpdateKnowledgeBaseInput = builder.inputType('UpdateKnowledgeBaseInput', {
  description: 'The changes to a knowledge base. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: 'The new name, 1 to 255 characters.' }),
    description: t.string({ description: 'The new description, 1 to 2,000 characters. Null removes it.' }),
    language: t.string({ description: `${language} With another one, all documents are indexed again.` }),
    embedding: t.field({
      type: EmbeddingProviderConfigInput,
      description:
        'The new embedding model; it replaces the old one as a whole. Null: that of the server’s environment. With another provider, address, model or number of dimensions, all documents are indexed again; until a document is, it is found by its words.',
    }),
  }),
});

const AddKnowledgeDocumentInput = builder.inputType('AddKnowledgeDocumentInput', {
  description: 'A new document. Give exactly one of `text`, `file` and `url`.',
  fields: (t) => ({
    knowledgeBaseId: t.id({ required: true, description: baseId }),
    title: t.string({ required: true, description: 'The title to show to people, 1 to 500 characters.' }),
    text: t.string({ description: text }),
    file: t.field({ type: 'File', description: file }),
    mediaType: t.string({
      description:
        'What the text or the file is: `text/plain`, `text/markdown`, `text/html`, `application/pdf` or that of DOCX, with a charset if it has one. If omitted, a text is Markdown, and a file is what its content looks like. What is at an address is what its server says, and only if that says nothing, this.',
    }),
    url: t.string({
      description:
        'The address from which it is read, now and whenever it is indexed again, of http or https: at most 20,000,000 bytes. Private addresses are refused unless MODEL_ALLOWED_HOSTS lists them.',
    }),
    metadata: t.field({ type: 'JSON', description: metadata }),
  }),
});

const UpdateKnowledgeDocumentInput = builder.inputType('UpdateKnowledgeDocumentInput', {
  description:
    'The changes to a document. Omitted fields stay as they are. Unless only `metadata` changes, it is indexed again.',
  fields: (t) => ({
    title: t.string({ description: 'The new title, 1 to 500 characters.' }),
    text: t.string({ description: `${text} Give at most one of \`text\` and \`file\`.` }),
    file: t.field({ type: 'File', description: file }),
    mediaType: t.string({ description: 'What the text or the file is, as in `addKnowledgeDocument`.' }),
    metadata: t.field({ type: 'JSON', description: metadata }),
  }),
});

builder.mutationFields((t) => ({
  createKnowledgeBase: t.prismaField({
    type: KnowledgeBaseRef,
    description:
      'Creates a knowledge base: admins one of the tenant, editors of a project one of the project. A tenant has at most 1,000.',
    args: {
      input: t.arg({ type: CreateKnowledgeBaseInput, required: true, description: 'The properties of the base.' }),
    },
    resolve: (query, _root, args, context) => createBase(context.viewer, context.knowledge, args.input, query),
  }),
  updateKnowledgeBase: t.prismaField({
    type: KnowledgeBaseRef,
    description: `Changes a knowledge base. ${mayChange}`,
    args: {
      id: t.arg.id({ required: true, description: baseId }),
      input: t.arg({ type: UpdateKnowledgeBaseInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) => updateBase(context.viewer, context.knowledge, args.id, args.input, query),
  }),
  deleteKnowledgeBase: t.id({
    description: `Deletes a knowledge base with its documents, and returns its id: nobody sees it from then on, and its rows are deleted in the background. One that an agent has is CONFLICT. ${mayChange}`,
    args: { id: t.arg.id({ required: true, description: baseId }) },
    resolve: (_root, args, context) => deleteBase(context.viewer, context.knowledge, args.id),
  }),
  addKnowledgeDocument: t.prismaField({
    type: KnowledgeDocumentRef,
    description: `Adds a document to a knowledge base. It is indexed in the background: \`status\`, \`progress\` and \`knowledgeEvents\` say how far it is. A base has at most 10,000. ${mayChange}`,
    args: { input: t.arg({ type: AddKnowledgeDocumentInput, required: true, description: 'The document.' }) },
    resolve: (query, _root, args, context) => addDocument(context.viewer, context.knowledge, args.input, query),
  }),
  updateKnowledgeDocument: t.prismaField({
    type: KnowledgeDocumentRef,
    description: `Puts another text, file or title in the place of a document’s; its id stays. It is found by what was indexed before until the new is complete. ${mayChange}`,
    args: {
      id: t.arg.id({ required: true, description: documentId }),
      input: t.arg({ type: UpdateKnowledgeDocumentInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateDocument(context.viewer, context.knowledge, args.id, args.input, query),
  }),
  deleteKnowledgeDocument: t.id({
    description: `Deletes a document, and returns its id. ${mayChange}`,
    args: { id: t.arg.id({ required: true, description: documentId }) },
    resolve: (_root, args, context) => deleteDocument(context.viewer, context.knowledge, args.id),
  }),
  reindexKnowledgeBase: t.prismaField({
    type: KnowledgeBaseRef,
    description: `Has all documents of a base indexed again, in the background; those with an address are read anew. ${mayChange}`,
    args: { id: t.arg.id({ required: true, description: baseId }) },
    resolve: (query, _root, args, context) => reindexBase(context.viewer, context.knowledge, args.id, query),
  }),
}));
