import type { Share } from './chart.tsx';

/** The beginnings of the last days in the person's own time, today's last. */
export function listDays(count: number, now: Date): readonly Date[] {
  const first = now.getDate() - count + 1;
  return Array.from({ length: count }, (_, index) => new Date(now.getFullYear(), now.getMonth(), first + index));
}

const names = new Intl.DateTimeFormat(undefined, { weekday: 'short', month: 'short', day: 'numeric' });
const calendar = new Intl.DateTimeFormat('sv-SE');

/** A share for each of the days. The server tells of those on which something was used, under their dates. */
export function fillDays(days: readonly Date[], used: readonly Share[]): readonly Share[] {
  const byDate = new Map(used.map((share) => [share.id, share]));
  return days.map((day) => {
    const id = calendar.format(day);
    const { modelCalls, inputTokens, outputTokens } = byDate.get(id) ?? nothing;
    return { id, name: names.format(day), modelCalls, inputTokens, outputTokens };
  });
}

const nothing = { modelCalls: 0, inputTokens: 0, outputTokens: 0 };
