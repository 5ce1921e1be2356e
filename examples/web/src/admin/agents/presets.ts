/** What a form knows of a provider: what it may leave empty, and what goes there. */
interface Preset {
  readonly title: string;
  /** The provider's own address. Null: the agent has to give one, as the example shows. */
  readonly apiUrl: string | null;
  readonly example?: string;
  /** A name of a model, as the provider writes it. */
  readonly model: string;
  readonly hint?: string;
  /** Neither an address nor a key: it is the server's own. */
  readonly isBuiltIn?: boolean;
}

type Presets = Readonly<Record<string, Preset>>;

const openai = 'https://api.openai.com/v1';
const groq = 'https://api.groq.com/openai/v1';
const azure = 'https://my-resource.openai.azure.com';
const azureHint = 'The model is the name of the deployment. Its options may name an apiVersion, such as "2024-10-21".';

/** The providers that the server knows, by the kind of their work. */
export const presets = {
  llm: {
    openai: { title: 'OpenAI', apiUrl: openai, model: 'gpt-5-mini' },
    'azure-openai': { title: 'Azure OpenAI', apiUrl: null, example: azure, model: 'my-deployment', hint: azureHint },
    groq: { title: 'Groq', apiUrl: groq, model: 'llama-3.3-70b-versatile' },
    openrouter: { title: 'OpenRouter', apiUrl: 'https://openrouter.ai/api/v1', model: 'openai/gpt-5-mini' },
    ollama: {
      title: 'Ollama',
      apiUrl: 'http://localhost:11434/v1',
      model: 'llama3.2',
      hint: 'The operator allows private addresses in MODEL_ALLOWED_HOSTS.',
    },
    vllm: { title: 'vLLM', apiUrl: null, example: 'https://vllm.example.com/v1', model: 'Qwen/Qwen3-8B' },
    custom: { title: 'Another with a compatible API', apiUrl: null, example: 'https://llm.example.com/v1', model: '' },
    demo: { title: 'The server’s own', apiUrl: null, model: 'switchboard-demo', isBuiltIn: true },
  },
  tts: {
    openai: { title: 'OpenAI', apiUrl: openai, model: 'gpt-4o-mini-tts' },
    'azure-openai': { title: 'Azure OpenAI', apiUrl: null, example: azure, model: 'tts', hint: azureHint },
    groq: { title: 'Groq', apiUrl: groq, model: 'canopylabs/orpheus-v1-english' },
    custom: { title: 'Another with a compatible API', apiUrl: null, example: 'https://tts.example.com/v1', model: '' },
    demo: { title: 'The server’s own', apiUrl: null, model: 'switchboard-demo', isBuiltIn: true },
  },
  stt: {
    openai: { title: 'OpenAI', apiUrl: openai, model: 'whisper-1' },
    'azure-openai': { title: 'Azure OpenAI', apiUrl: null, example: azure, model: 'whisper', hint: azureHint },
    groq: { title: 'Groq', apiUrl: groq, model: 'whisper-large-v3-turbo' },
    custom: { title: 'Another with a compatible API', apiUrl: null, example: 'https://stt.example.com/v1', model: '' },
    'whisper-live': { title: 'WhisperLive', apiUrl: null, example: 'wss://stt.example.com', model: 'small' },
    demo: { title: 'The server’s own', apiUrl: null, model: 'switchboard-demo', isBuiltIn: true },
  },
} satisfies Readonly<Record<string, Presets>>;

export type ProviderKind = keyof typeof presets;

/** What is known of a provider of this name. */
export function findPreset(kind: ProviderKind, provider: string): Preset | undefined {
  const known: Presets = presets[kind];
  return known[provider];
}
