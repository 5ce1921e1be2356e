/** What node is started with so that a server under test can be asked what it costs (probe.ts). */
export const probe = ['--import', new URL('./probe.ts', import.meta.url).href] as const;
