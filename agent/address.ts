// Addresses that must be right by now: text in, the datapath's bytes out, or an error that says what was wrong.
import { parseAddress, parsePrefix, type Prefix } from '../engine/index.ts'
import { AgentError } from './errors.ts'

/** 16 bytes, IPv4 in mapped form. Throws `BAD_REQUEST`. */
export function addressBytes(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === undefined) throw new AgentError('BAD_REQUEST', `"${text}" is no IPv4 or IPv6 address`)
  return address
}

/** Throws `BAD_REQUEST`. */
export function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix === undefined) throw new AgentError('BAD_REQUEST', `"${text}" is no prefix, e.g. 10.0.0.0/24 or fd00::/64`)
  return prefix
}

/** Key of a single address in the table of addresses. */
export function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

/** "02:00:5e:00:00:01" as 6 bytes, or undefined where it is no MAC. */
export function macBytes(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16))
}
