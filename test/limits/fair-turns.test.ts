import { expect, test } from 'vitest';
import { FairTurns } from '../../src/event-loop/fair-turns.ts';

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('Of requests that come together a few begin in each turn of the event loop, and no address and no token waits for the others of another', async () => {
  const turns = new FairTurns(2);
  const begun: string[] = [];
  const send = async (address: string, authorization: string) => {
    await turns.wait(address, authorization);
    begun.push(`${address} ${authorization}`);
  };
  const all = [...Array.from({ length: 100 }, () => send('a', 'flood')), send('a', 'honest'), send('b', 'honest')];
  await nextTurn();
  expect(begun).toEqual(['a flood', 'a flood', 'a flood', 'b honest']);
  await nextTurn();
  expect(begun.slice(4)).toEqual(['a honest', 'a flood']);
  await Promise.all(all);
  expect(begun).toHaveLength(102);
});

test('Tokens that are invented keep only those of their own address waiting', async () => {
  const turns = new FairTurns(1);
  const begun: string[] = [];
  const send = async (address: string, authorization: string) => {
    await turns.wait(address, authorization);
    begun.push(address);
  };
  const all = [...Array.from({ length: 50 }, (_, index) => send('a', `invented ${index}`)), send('b', 'honest')];
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  expect(begun).toContain('b');
  await Promise.all(all);
});

test('A request that is alone does not wait', async () => {
  const turns = new FairTurns(2);
  expect([turns.wait('a', ''), turns.wait('a', '')]).toEqual([null, null]);
  const third = turns.wait('a', '');
  expect(third).not.toBeNull();
  await third;
  await nextTurn();
  await nextTurn();
  expect(turns.wait('a', '')).toBeNull();
});

test('Large pieces of work take a turn each, small ones share one, and those of another user come in between', async () => {
  const turns = new FairTurns(100);
  const begun: string[] = [];
  const work = async (user: string, bytes: number) => {
    await turns.wait('tenant', user, bytes);
    begun.push(`${user} ${bytes}`);
  };
  const all = [...Array.from({ length: 20 }, () => work('heavy', 400)), work('light', 40), work('light', 40)];
  await nextTurn();
  await nextTurn();
  await nextTurn();
  await nextTurn();
  expect(begun).toEqual(['heavy 400', 'heavy 400', 'light 40', 'heavy 400', 'light 40']);
  await Promise.all(all);
});
