/** Whether a base URL is OpenAI's or Azure's: these take parameters that compatible servers refuse, and the reverse. */
export function isOpenAiHost(apiUrl: string): boolean {
  const host = URL.parse(apiUrl)?.hostname ?? '';
  return ['openai.com', 'openai.azure.com', 'services.ai.azure.com'].some(
    (domain) => host === domain || host.endsWith(`.${domain}`),
  );
}
