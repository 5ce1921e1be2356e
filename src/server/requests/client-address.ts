import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

/**
 * The address of the client, as the key of limits per address. IPv6 addresses count by their /64 network, which is what
 * one customer gets.
 *
 * @param trustedProxies how many proxies stand in front of this server, each of which appends to X-Forwarded-For. With 0
 *   the header is ignored, because anyone can send it.
 */
export function readClientAddress(request: IncomingMessage, trustedProxies: number): string {
  const { remoteAddress = '' } = request.socket;
  if (trustedProxies === 0) return toNetwork(remoteAddress);
  const header = request.headers['x-forwarded-for'] ?? '';
  const addresses = String(header)
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  // The last entry was added by the proxy next to this server, the one before by the proxy in front of that, and so on.
  return toNetwork(addresses.at(-Math.min(trustedProxies, addresses.length)) ?? remoteAddress);
}

function toNetwork(address: string): string {
  if (!ipaddr.isValid(address)) return address.slice(0, 100);
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${parsed.toNormalizedString().split(':').slice(0, 4).join(':')}::/64`;
}
