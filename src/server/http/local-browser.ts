import type { IncomingMessage } from 'node:http';
import { isLoopbackAddress, isLoopbackName } from '../requests/loopback.ts';

const proxyHeaders = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'];

/**
 * Whether a page may carry a token: both ends of the connection are loopback addresses, and the browser used a loopback name.
 * Under any other name the page might belong to another site that resolves to this address (DNS rebinding), and any other
 * machine might be anyone's. A program on this machine that forwards connections of others can still imitate this, which
 * is why the token is short-lived.
 */
export function isLocalBrowser(request: IncomingMessage): boolean {
  const { remoteAddress = '', localAddress = '' } = request.socket;
  if (!isLoopbackAddress(remoteAddress) || !isLoopbackAddress(localAddress)) return false;
  // A proxy on this machine forwards requests of anyone.
  if (proxyHeaders.some((name) => request.headers[name] !== undefined)) return false;
  const { host = '' } = request.headers;
  if (!URL.canParse(`http://${host}`)) return false;
  return isLoopbackName(new URL(`http://${host}`).hostname);
}
