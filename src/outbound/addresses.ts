import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What an address belongs to: the internet, a private network, or the metadata service of a cloud, which hands out keys. */
export type AddressScope = 'public' | 'private' | 'metadata';

/**
 * The metadata services of clouds, which hand out the credentials of the machine: the whole link-local networks (AWS,
 * Google, Azure, DigitalOcean, …), AWS, Google and Scaleway over IPv6, Alibaba, Oracle, and Azure's wire server.
 */
const metadataRanges = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::/32',
  'fd20:ce::/64',
  'fd00:42::42/128',
  '100.100.100.200/32',
  '192.0.0.192/32',
  '168.63.129.16/32',
].map((range) => ipaddr.parseCIDR(range));

/** The part of IPv6 that belongs to the internet. Everything else is reserved. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');

/** IPv6 addresses that are translated to IPv4: the IPv4 address is in the last 32 bits (RFC 4291, 6145, 6052, 8215). */
const translated = ['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'].map((range) =>
  ipaddr.IPv6.parseCIDR(range),
);
/** The two of these that the system or a DNS64 resolver uses for ordinary IPv4 addresses. */
const mappedIPv4Ranges = [ipaddr.IPv6.parseCIDR('::ffff:0:0/96'), ipaddr.IPv6.parseCIDR('64:ff9b::/96')];
const sixToFour = ipaddr.IPv6.parseCIDR('2002::/16');
const teredo = ipaddr.IPv6.parseCIDR('2001::/32');

/**
 * What an IP address belongs to.
 * @param text as DNS or the URL parser writes it; anything that is not an address, or has a zone, counts as private
 */
export function findAddressScope(text: string): AddressScope {
  if (!ipaddr.isValid(text) || text.includes('%')) return 'private';
  const address = ipaddr.parse(text);
  const inner = findInner(address);
  if (isMetadata(address) || (inner !== null && isMetadata(inner))) return 'metadata';
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast' ? 'public' : 'private';
  if (inner !== null && mappedIPv4Ranges.some((range) => address.match(range))) {
    return inner.range() === 'unicast' ? 'public' : 'private';
  }
  return address.range() === 'unicast' && address.match(globalUnicast) ? 'public' : 'private';
}

function isMetadata(address: Address): boolean {
  return metadataRanges.some(([range, bits]) => range.kind() === address.kind() && address.match(range, bits));
}

/** The IPv4 address inside an IPv6 address; null: it has none. */
function findInner(address: Address): ipaddr.IPv4 | null {
  if (address instanceof ipaddr.IPv4) return null;
  const bytes = address.toByteArray();
  if (translated.some((range) => address.match(range))) return new ipaddr.IPv4(bytes.slice(12));
  if (address.match(sixToFour)) return new ipaddr.IPv4(bytes.slice(2, 6));
  // RFC 4380: the client's address is written with every bit inverted.
  if (address.match(teredo)) return new ipaddr.IPv4(bytes.slice(12).map((byte) => byte ^ 0xff));
  return null;
}
