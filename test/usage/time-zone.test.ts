import { expect, test } from 'vitest';
import { listDays } from '../../src/api/time-zone.ts';

const days = (from: string, until: string, timeZone: string) =>
  listDays(new Date(from), new Date(until), timeZone).map(
    ({ name, start }) => `${name} ${new Date(start).toISOString()}`,
  );

test('The days of a time zone begin when its clocks say so first', () => {
  expect(days('2026-03-28T12:00:00Z', '2026-03-31T00:00:00Z', 'Europe/Berlin')).toEqual([
    '2026-03-28 2026-03-27T23:00:00.000Z',
    '2026-03-29 2026-03-28T23:00:00.000Z',
    '2026-03-30 2026-03-29T22:00:00.000Z',
    '2026-03-31 2026-03-30T22:00:00.000Z',
  ]);
  expect(days('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.001Z', 'UTC')).toEqual([
    '2026-01-01 2026-01-01T00:00:00.000Z',
  ]);
  // Midnight is skipped in the spring of Beirut, and comes twice in the autumn of Havana.
  expect(days('2025-03-29T22:30:00Z', '2025-03-30T10:00:00Z', 'Asia/Beirut')).toEqual([
    '2025-03-30 2025-03-29T22:00:00.000Z',
  ]);
  expect(days('2025-11-02T12:00:00Z', '2025-11-02T13:00:00Z', 'America/Havana')).toEqual([
    '2025-11-02 2025-11-02T04:00:00.000Z',
  ]);
  // Clocks go from midnight back to 11 p.m.: the day begins the second time.
  expect(days('2025-10-26T12:00:00Z', '2025-10-26T13:00:00Z', 'Asia/Beirut')).toEqual([
    '2025-10-26 2025-10-25T22:00:00.000Z',
  ]);
});

test('A year of any time zone has each of its days once, in their order', () => {
  for (const zone of [
    'UTC',
    'Pacific/Kiritimati',
    'Pacific/Pago_Pago',
    'Australia/Lord_Howe',
    'America/St_Johns',
    'Africa/Cairo',
  ]) {
    const year = listDays(new Date('2025-06-01T00:00:00Z'), new Date('2026-06-02T00:00:00Z'), zone);
    const names = year.map(({ name }) => name);
    expect(new Set(names).size, zone).toBe(names.length);
    expect(names, zone).toEqual(names.toSorted());
    expect(names.length, zone).toBeGreaterThan(365);
    for (const [index, { start }] of year.entries()) {
      const hours = ((year[index + 1]?.start ?? start + 86_400_000) - start) / 3_600_000;
      expect(hours, `${zone} ${names[index]}`).toBeGreaterThanOrEqual(23);
      expect(hours, `${zone} ${names[index]}`).toBeLessThanOrEqual(25);
    }
  }
});
