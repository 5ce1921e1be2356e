import ipaddr from 'ipaddr.js';

/** Whether it is the literal of a loopback address, such as 127.0.0.1 or ::1. */
export function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** Whether a host name, as URL.hostname has it, always means this machine: a loopback literal, localhost or *.localhost. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name.replace(/^\[(.*)\]$/, '$1'));
}
