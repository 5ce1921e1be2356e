import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startModelServer } from '../../src/demo/server.ts';
import { speakInChunks } from '../../src/demo/tones.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

test('Upgrades to unknown paths, and clients that are gone, do not harm the demo', async () => {
  const demo = await startModelServer({ respond: () => ({}) });
  onTestFinished(demo.close);
  const port = Number(new URL(demo.url).port);
  for (const path of ['//', '//:', '/elsewhere', '/v1/audio/stream/x?//']) {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.on('data', (data) => {
      said += data;
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    await once(socket, 'close');
    expect(said).toMatch(/^HTTP\/1.1 404 /);
  }
  const gone = connect(port, '127.0.0.1');
  gone.on('error', () => {});
  gone.write('GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await new Promise((resolve) => setImmediate(resolve));
  gone.resetAndDestroy();
  expect((await fetch(`${demo.url}/models`)).status).toBe(200);
});

test('Long texts are spoken with pauses for other work, to the same sound', async () => {
  const text = 'a '.repeat(5_000);
  let turns = 0;
  let speaking = true;
  const count = () => {
    turns += 1;
    if (speaking) setImmediate(count);
  };
  setImmediate(count);
  const spoken = await speakInChunks(text, 24_000);
  speaking = false;
  expect(turns).toBeGreaterThan(10);
  // What a clip may be, with what else is in the file.
  expect(spoken.length).toBeLessThan(32_000_000);
  expect(spoken.equals(speakInTones(text, 24_000))).toBe(true);
});
