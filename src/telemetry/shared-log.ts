import { Counter } from '@prometheus-io/client';
import { registry } from './metrics.ts';

const registers = [registry];

export const sharedLogPieces = new Counter({
  name: 'switchboard_shared_log_pieces_total',
  help: 'Pieces of live turns that this process has sent to Redis. A piece holds what has happened in one turn since the one before.',
  registers,
});

export const sharedLogReconnects = new Counter({
  name: 'switchboard_shared_log_reconnects_total',
  help: 'How often Redis was reached again after it was away.',
  registers,
});

export const piecesRead = new Counter({
  name: 'switchboard_shared_log_read_pieces_total',
  help: 'Pieces of turns of other instances that this process has read. source: redis, database.',
  labelNames: ['source'],
  registers,
});
