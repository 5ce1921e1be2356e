import { BadUserInputError } from '../../api/errors.ts';

/** Whether the Accept header of a request names a media type, or a part of one such as `json`. */
export function accepts(request: Request, mediaType: string): boolean {
  return request.headers.get('accept')?.toLowerCase().includes(mediaType) ?? false;
}

/**
 * Checks that the client of a subscription accepts Server-Sent Events.
 * @throws {BadUserInputError} when it does not
 */
export function assertStreamAccepted(request: Request): void {
  const accept = request.headers.get('accept') ?? '*/*';
  if (accepts(request, 'text/event-stream') || /(^|[,\s])(\*|text)\/\*/.test(accept)) return;
  throw new BadUserInputError('Send "Accept: text/event-stream" to subscribe over HTTP.', ['accept']);
}
