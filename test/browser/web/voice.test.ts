import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { readMessages, type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
/** A microphone that Chromium plays, and addresses of this machine as they are. */
const flags = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];
let demo: Stage;
let real: Stage;
let provider: Provider;

beforeAll(async () => {
  demo = await setStage(resources, {}, flags);
  provider = await startProvider();
  const env = { OPENAI_BASE_URL: `${provider.url}/v1`, OPENAI_API_KEY: 'sk-of-the-test', MODEL: 'gpt-of-the-test' };
  real = await setStage(resources, env, flags);
  provider.page = await (await real.browser.newContext()).newPage();
});
afterAll(() => resources.disposeAsync());

const transcript = (page: Page) => page.getByLabel('Transcript').textContent();

test('With the demo, the page says what a call needs, and a script takes the way of what is said into a conversation', async () => {
  const page = await demo.open();
  await page.getByRole('link', { name: 'Voice' }).click();
  await page.getByLabel('Scenario').selectOption('support');
  await page.getByRole('button', { name: 'Call', exact: true }).click();
  await page.getByText('What is missing for a real call').waitFor({ timeout: 60_000 });
  await expect.poll(() => transcript(page), { timeout: 60_000 }).toMatch(/Where is my order 1042\?.*on its way/);
  await page.getByText('You talk to orders').waitFor({ timeout: 60_000 });
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('button', { name: 'Hang up' }).click();
  // The microphone was recorded, for the user alone.
  const download = page.waitForEvent('download', { timeout: 60_000 });
  await page.getByRole('link', { name: 'Download the recording' }).click({ timeout: 60_000 });
  const saved = await download;
  expect(saved.suggestedFilename()).toBe('call.webm');
  expect((await stat(await saved.path())).size).toBeGreaterThan(0);
  await page.getByRole('link', { name: 'Open the conversation' }).click();
  await expect.poll(() => readMessages(page), { timeout: 60_000 }).toMatch(/Where is my order 1042\?[\s\S]*on its way/);
  expect(demo.troubles).toEqual([]);
});

test('A call is begun by WebRTC with the key of its session, recorded, interrupted and handed over', async () => {
  const page = await real.open({ path: '/voice' });
  await page.getByLabel('Scenario').selectOption('support');
  await page.getByRole('button', { name: 'Call', exact: true }).click();
  await page.getByRole('button', { name: 'Interrupt' }).waitFor({ timeout: 60_000 });
  expect(provider.keys).toEqual([expect.stringMatching(/^Bearer ek_of_the_test/)]);
  await provider.page?.waitForFunction('window.channel?.readyState === "open"', undefined, { timeout: 60_000 });
  const say = (...events: object[]) =>
    provider.page?.evaluate((all) => {
      // @ts-expect-error the channel of the call, see answer
      for (const event of all) window.channel.send(JSON.stringify(event));
    }, events);
  await say(
    { type: 'conversation.item.added', item: { id: 'item_1' } },
    {
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: 'item_1',
      transcript: 'A refund, please.',
    },
    { type: 'response.function_call_arguments.done', name: 'transfer_to_billing', call_id: 'call_1', arguments: '{}' },
    { type: 'conversation.item.added', item: { id: 'item_2' } },
    { type: 'response.output_audio_transcript.done', item_id: 'item_2', transcript: 'Which order is it?' },
  );
  await expect.poll(() => transcript(page), { timeout: 60_000 }).toMatch(/A refund, please\..*billing.*Which order/);
  await page.getByText('You talk to billing').waitFor({ timeout: 60_000 });
  const button = page.getByRole('button', { name: 'Hold to talk' });
  await button.focus();
  await page.keyboard.down('Space');
  await page.getByRole('button', { name: 'Hold to talk', pressed: true }).waitFor();
  await page.keyboard.up('Space');
  await page.getByRole('button', { name: 'Hold to talk', pressed: false }).waitFor();
  await page.getByRole('button', { name: 'Interrupt' }).click();
  const heard = async () => JSON.stringify(await provider.page?.evaluate('window.heard'));
  await expect.poll(heard, { timeout: 60_000 }).toMatch(/session\.update.*call_1.*response\.cancel/);
  await page.getByRole('button', { name: 'Hang up' }).click();
  await page.getByRole('link', { name: 'Download the recording' }).waitFor({ timeout: 60_000 });
  await page.getByRole('link', { name: 'Open the conversation' }).click();
  await expect.poll(() => readMessages(page), { timeout: 60_000 }).toContain('Which order is it?');
  // The provider is the one other host that the page asks.
  expect([...new Set(real.troubles)]).toEqual([`elsewhere: ${provider.url}/v1/realtime/calls`]);
});

interface Provider {
  readonly url: string;
  /** What calls were authorized with. */
  readonly keys: (string | undefined)[];
  /** The page that has the other side of calls. */
  page: Page | null;
}

/** A provider that mints secrets, and answers offers with the answer of a page. */
async function startProvider(): Promise<Provider> {
  const made: { url: string; keys: (string | undefined)[]; page: Page | null } = { url: '', keys: [], page: null };
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { origin = '*', authorization } = request.headers;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-allow-headers', 'authorization, content-type');
    const body = await text(request);
    if (request.method === 'OPTIONS') return response.writeHead(204).end();
    if (request.url === '/v1/realtime/calls') {
      made.keys.push(authorization);
      return response.writeHead(201).end(await made.page?.evaluate(answer, body));
    }
    const expires_at = Math.floor(Date.now() / 1_000) + 600;
    const secret = { value: `ek_of_the_test_${Date.now()}`, expires_at, session: { type: 'realtime' } };
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(secret));
  };
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  made.url = `http://127.0.0.1:${port}`;
  return made;
}

/** Runs in the page of the provider: takes an offer, and notes what its channel says. */
async function answer(offer: string): Promise<string> {
  const peer = new RTCPeerConnection();
  const heard: unknown[] = [];
  Object.assign(window, { peer, heard });
  peer.ondatachannel = ({ channel }) => {
    Object.assign(window, { channel });
    channel.onmessage = ({ data }) => heard.push(JSON.parse(data));
  };
  await peer.setRemoteDescription({ type: 'offer', sdp: offer });
  await peer.setLocalDescription(await peer.createAnswer());
  while (peer.iceGatheringState !== 'complete') await new Promise((go) => setTimeout(go, 20));
  return peer.localDescription?.sdp ?? '';
}
