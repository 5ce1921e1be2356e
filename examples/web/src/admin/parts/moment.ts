const formatter = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** A moment in the time of the person. */
export const formatMoment = (time: string): string => formatter.format(new Date(time));
