import { builder } from '../../graphql/builder.ts';
import { KnowledgeBaseRef } from '../../graphql/refs.ts';
import { type EmbeddingConfig, embeddingConfig } from '../vectors/embedding-config.ts';

const EmbeddingProviderConfig = builder.objectRef<EmbeddingConfig>('EmbeddingProviderConfig').implement({
  description:
    'The embedding model of a knowledge base. Keys are write-only: they are stored encrypted, and only their last four characters can be read.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'The name of the provider, such as `openai`.' }),
    apiUrl: t.exposeString('apiUrl', {
      nullable: true,
      description:
        'The base URL of the API, version included. Null if it is the provider’s own address, or the address of the server’s environment.',
    }),
    apiKeyHint: t.exposeString('apiKeyHint', {
      nullable: true,
      description:
        'The last four characters of the stored key, such as `x7Qk`. Empty if the key is too short to show any. Null if the base has no key of its own.',
    }),
    model: t.exposeString('model', {
      description: 'The provider’s name of the model. Example: `text-embedding-3-small`.',
    }),
    dimensions: t.exposeInt('dimensions', {
      nullable: true,
      description: 'How many numbers each vector has. Null if it is as many as the model gives by itself.',
    }),
  }),
});

/** The embedding model of a base, as it is given. */
export const EmbeddingProviderConfigInput = builder.inputType('EmbeddingProviderConfigInput', {
  description: 'The embedding model of a knowledge base.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description:
        'One of `openai`, `azure-openai`, `ollama`, `vllm`, `openrouter`, `custom` (any compatible API) or `demo` (the model of the server’s environment).',
    }),
    apiUrl: t.string({
      description:
        'The base URL of the API, version included. Required unless the provider has an address of its own. Private addresses are refused unless MODEL_ALLOWED_HOSTS lists them.',
    }),
    apiKey: t.string({
      description:
        'The key, which is stored encrypted and cannot be read back. If omitted, the stored key stays while `apiUrl` stays on the same host; on another one it is deleted. An empty key removes it.',
    }),
    model: t.string({ required: true, description: 'The provider’s name of the model, 1 to 200 characters.' }),
    dimensions: t.int({
      description:
        'How many numbers each vector is asked to have, 1 to 4,000. If omitted, as many as the model gives by itself.',
    }),
  }),
});

builder.prismaObjectField(KnowledgeBaseRef, 'embedding', (t) =>
  t.field({
    type: EmbeddingProviderConfig,
    nullable: true,
    description: 'The embedding model of the base. Null if it uses that of the server’s environment, if there is one.',
    resolve: ({ embedding }) => embeddingConfig.safeParse(embedding).data ?? null,
  }),
);
