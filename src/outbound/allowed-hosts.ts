/** Whether a base URL is OpenAI's own, which knows parameters that compatible servers do not, and the reverse. */
export function isOpenAiHost(apiUrl: string): boolean {
  const host = URL.parse(apiUrl)?.hostname ?? '';
  return ['openai.com', 'openai.azure.com', 'services.ai.azure.com'].some(
    (domain) => host === domain || host.endsWith(`.${domain}`),
  );
}
