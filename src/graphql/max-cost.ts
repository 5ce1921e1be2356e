/**
 * The highest cost of one operation. A field costs as much as the objects that it returns: an object one, a list as many
 * as it may have, each with what is selected on it. Values inside objects are free.
 */
export const maxCost = 20_000;
